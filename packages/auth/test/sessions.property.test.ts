import fc from "fast-check";
import { expect, it } from "vitest";
import type { CloseInfo, Connection } from "@vel/core";
import { Revocations } from "../src/revocations.ts";
import { Sessions, type Session } from "../src/sessions.ts";
import type { TimedToken } from "../src/timed-token.ts";
import { StepClock } from "./step-clock.ts";

/** What sessions need of a connection. */
class Peer {
  code: number | undefined;
  closeInfo: CloseInfo | undefined;
  get isOpen(): boolean {
    return this.code === undefined;
  }
  close(code: number): void {
    this.code ??= code;
  }
}

/** What a connection should be, told in the simplest way. */
interface Model {
  readonly peer: Peer;
  readonly session: Session<unknown>;
  token: TimedToken<unknown>;
  state: "pending" | "open" | "closed" | "over" | "gone";
}

it("each connection is open exactly while its token is: opened, renewed, revoked, expired and left in any order", () => {
  const who = fc.constantFrom("ada", "bob", undefined);
  const which = fc.constantFrom("1", "2", "3", undefined);
  const at = fc.nat(15);
  const life = fc.constantFrom(0, 5, 10, 20, Infinity);
  const step = fc.oneof(
    fc.record({ kind: fc.constant("add" as const), who, which, life }),
    fc.record({ kind: fc.constant("attach" as const), at }),
    fc.record({ kind: fc.constant("renew" as const), at, which, life }),
    fc.record({ kind: fc.constant("leave" as const), at }),
    fc.record({ kind: fc.constant("revokeUser" as const), who: fc.constantFrom("ada", "bob", "eve") }),
    fc.record({ kind: fc.constant("revokeToken" as const), which: fc.constantFrom("1", "2", "3") }),
    fc.record({ kind: fc.constant("advance" as const), by: fc.nat(8) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40, size: "max" }), (steps) => {
      const clock = new StepClock();
      let expired = 0;
      const sessions = new Sessions<unknown>(clock, () => expired++);
      const models: Model[] = [];
      let shouldExpire = 0;
      const tokenOf = (subject: string | undefined, tokenId: string | undefined, lifetime: number) => ({
        ...{ claims: {}, issuer: undefined, subject, tokenId, issuedAt: undefined, expiresAt: Infinity },
        deadline: clock.now() + lifetime,
      });
      const end = (isMeant: (token: TimedToken<unknown>) => boolean): number => {
        const meant = models.filter(({ token, state }) => isMeant(token) && ["pending", "open"].includes(state));
        const closed = meant.filter(({ state }) => state === "open");
        for (const model of meant) model.state = model.state === "open" ? "closed" : "over";
        return closed.length;
      };
      for (const each of steps) {
        const model = "at" in each && models.length > 0 ? models[each.at % models.length] : undefined;
        if (each.kind === "add") {
          const token = tokenOf(each.who, each.which, each.life);
          models.push({ peer: new Peer(), session: sessions.add(token, () => ({})), token, state: "pending" });
        } else if (each.kind === "attach" && model?.session.connection === undefined && model) {
          const attach = () => sessions.attach(model.session, model.peer as unknown as Connection);
          if (model.state === "gone") continue;
          if (model.state === "over" || clock.now() >= model.token.deadline) {
            expect(attach).toThrow(expect.objectContaining({ code: "ERR_VEL_DISCONNECTED" }) as Error);
            model.state = "closed";
          } else {
            attach();
            model.state = "open";
          }
        } else if (each.kind === "renew" && model?.state === "open") {
          model.token = tokenOf(model.token.subject, each.which, each.life);
          sessions.renew(model.session, model.token, {});
        } else if (each.kind === "leave" && model) {
          if (model.state === "open") model.peer.code = 1000;
          sessions.delete(model.session);
          model.state = "gone";
        } else if (each.kind === "revokeUser") {
          expect(sessions.end(["subject", each.who])).toBe(end(({ subject }) => subject === each.who));
        } else if (each.kind === "revokeToken") {
          expect(sessions.end(["tokenId", each.which])).toBe(end(({ tokenId }) => tokenId === each.which));
        } else if (each.kind === "advance") {
          clock.advance(each.by);
          shouldExpire += end(({ deadline }) => deadline <= clock.now());
        }
        for (const { peer, state } of models) {
          expect(peer.code).toBe(state === "closed" ? 4401 : state === "gone" ? peer.code : undefined);
        }
        expect(expired).toBe(shouldExpire);
        expect(clock.pending).toBeLessThanOrEqual(1);
      }
      for (const { session } of models) sessions.delete(session);
      expect(sessions.size).toBe(0);
      expect(clock.pending).toBe(0);
    }),
    { numRuns: 1_000 },
  );
});

it("a token is revoked exactly while one of its revocations is kept that it was issued before", () => {
  const name = fc.constantFrom("a", "b", "__proto__");
  const by = fc.constantFrom("subject" as const, "tokenId" as const);
  const step = fc.oneof(
    fc.record({ by, name, keepFor: fc.constantFrom(1, 500, 2_000, 10_000) }),
    fc.record({ advance: fc.nat(3_000) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20, size: "max" }), (steps) => {
      const clock = new StepClock();
      const revocations = new Revocations(clock);
      const made = new Map<string, { until: number; second: number }>();
      for (const each of steps) {
        if ("advance" in each) {
          clock.advance(each.advance);
        } else {
          revocations.add([each.by, each.name], each.keepFor);
          const key = `${each.by} ${each.name}`;
          const until = Math.max(made.get(key)?.until ?? 0, clock.now() + each.keepFor);
          made.set(key, { until, second: Math.floor(clock.now() / 1_000) });
        }
        for (const subject of ["a", "__proto__", undefined]) {
          for (const issuedAt of [undefined, 0, 1_999, 2_000]) {
            const token = { claims: {}, issuer: undefined, subject, tokenId: "a", issuedAt, expiresAt: Infinity };
            const [user, id] = [made.get(`subject ${String(subject)}`), made.get("tokenId a")];
            const isIn = (entry: { until: number } | undefined) => entry !== undefined && clock.now() < entry.until;
            const isOlder = Math.floor((issuedAt ?? -1_000) / 1_000) <= (user?.second ?? -1);
            expect(revocations.covers(token)).toBe(isIn(id) || (subject !== undefined && isIn(user) && isOlder));
          }
        }
      }
    }),
    { numRuns: 1_000 },
  );
});
