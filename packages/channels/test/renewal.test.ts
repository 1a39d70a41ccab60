/** What becomes of a client's subscriptions when its rights have changed: `authorize` is asked again. */
import { ChannelManager, type Authorize, type ChannelManagerOptions } from "@vel/channels";
import { Protocol, type Connection, type MaybePromise, type VelOptions } from "@vel/core";
import { settle } from "@vel/testing";
import { describe, expect, test } from "vitest";
import { counted, errorLog, history, peers, publishAll, take, WiredBroker, type Peer } from "./kit.ts";

/** What the tokens of these tests say. */
interface Rights {
  readonly channels?: readonly string[];
}

const byRights: Authorize = ({ data }, channel, action) => {
  const { channels = [] } = (data ?? {}) as Rights;
  return channels.includes(`${action} ${channel}`) || (action === "subscribe" && channels.includes(channel));
};

/** A client that speaks frames, without a wait between one and the next. */
interface Speaker extends Peer {
  readonly listeners: () => number;
  /** Sends a frame; the answer comes among the client's frames. */
  say(frame: object): void;
}

function fixture(options: ChannelManagerOptions = {}, velOptions: VelOptions = {}) {
  const { errors, onError } = errorLog();
  const protocol = new Protocol({ onError });
  const channels = new ChannelManager({ protocol, onError, authorize: byRights, ...options });
  protocol.add(channels.frames());
  const { vel, peer } = peers(velOptions);
  const speaker = async (...allowed: string[]): Promise<Speaker> => {
    const { client, connection: inner } = await peer();
    const { connection, listeners } = counted(inner);
    await connection.renew({ channels: allowed });
    const say = (frame: object): void => void protocol.receive(connection, JSON.stringify(frame));
    return { client, connection, listeners, say };
  };
  return { channels, errors, vel, speaker };
}

/** What arrived, in short: a message's data, and of other frames what they are about. */
async function heard(client: Peer["client"]): Promise<unknown[]> {
  return (await take(client)).map(({ type, channel, data, code, id }) =>
    type === "message"
      ? data
      : `${[type, channel, code].filter(Boolean).join(" ")}${id ? ` ${String(id as number)}` : ""}`,
  );
}

/** A decider that answers when the test says so, by the rights that were there when it was asked. */
function slowAuthorize() {
  const questions: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const state = { isSlow: true, asked: 0 };
  const authorize: Authorize = (...args): MaybePromise<boolean> => {
    state.asked++;
    const answer = byRights(...args);
    if (!state.isSlow) return answer;
    return new Promise((resolve, reject) => {
      questions.push({
        resolve: () => {
          resolve(answer);
        },
        reject,
      });
    });
  };
  const answer = async (error?: Error): Promise<void> => {
    const question = questions.shift();
    if (error) question?.reject(error);
    else question?.resolve();
    await settle();
  };
  return { authorize, answer, questions, state };
}

/** Somebody who is subscribed to `news`, and a decider that takes its time from then on. */
async function slowFixture(options: ChannelManagerOptions = {}) {
  const slow = slowAuthorize();
  slow.state.isSlow = false;
  const rest = fixture({ ...options, authorize: slow.authorize });
  const ada = await rest.speaker("news");
  ada.say({ type: "subscribe", channel: "news" });
  await take(ada.client);
  slow.state.isSlow = true;
  slow.state.asked = 0;
  return { ...rest, ...slow, ada };
}

/** Tells whether a promise has settled. */
function watch(promise: Promise<unknown>): { isDone: boolean } {
  const state = { isDone: false };
  void promise.then(() => (state.isDone = true));
  return state;
}

async function renew(connection: Connection, ...allowed: string[]): Promise<void> {
  await connection.renew({ channels: allowed });
}

describe("Connection.renew()", () => {
  test("ends the subscriptions that the client may not have any more, before it resolves, and tells it", async () => {
    const { channels, vel, speaker, errors } = fixture();
    const [ada, bob] = [await speaker("news", "orders.*", "chat"), await speaker("news")];
    for (const channel of ["news", "orders.*", "chat"]) ada.say({ type: "subscribe", channel });
    bob.say({ type: "subscribe", channel: "news" });
    await settle();
    await Promise.all([take(ada.client), take(bob.client)]);

    await renew(ada.connection, "chat", "orders.7");
    expect(channels.channel("news").subscriberCount).toBe(1);
    await channels.channel("news").publish("secret");
    await channels.channel("orders.7").publish("secret");
    await channels.channel("chat").publish("hello");
    expect(await take(ada.client)).toEqual([
      { type: "unsubscribed", channel: "news", code: "channel_forbidden" },
      { type: "unsubscribed", channel: "orders.*", code: "channel_forbidden" },
      { type: "message", channel: "chat", data: "hello" },
    ]);
    expect(await heard(bob.client)).toEqual(["secret"]);
    expect([ada.connection.isOpen, channels.size, errors]).toEqual([true, 2, []]);
    ada.say({ type: "subscribe", channel: "news", id: 1 });
    ada.say({ type: "unsubscribe", channel: "news", id: 2 });
    const answers = (await heard(ada.client)).toSorted();
    expect(answers).toEqual(["error channel_forbidden 1", "ok news 2"]);
    await vel.close();
  });

  test("ends them at once where authorize answers at once", async () => {
    const { channels, vel, speaker } = fixture();
    const ada = await speaker("news");
    ada.say({ type: "subscribe", channel: "news" });
    await settle();
    const renewing = renew(ada.connection);
    expect(channels.channel("news").subscriberCount).toBe(0);
    await renewing;
    await vel.close();
  });

  test("changes nothing where the answer is the same", async () => {
    for (const isPattern of [false, true]) {
      const broker = new WiredBroker();
      const { channels, vel, speaker } = fixture({ broker, history });
      const name = isPattern ? "*" : "news";
      const ada = await speaker(name);
      ada.say({ type: "subscribe", channel: name });
      await take(ada.client);
      const news = channels.channel<number>("news");
      await news.publish(1);
      const renewing = renew(ada.connection, name);
      await news.publish(2);
      await renewing;
      await news.publish(3);
      expect(await heard(ada.client)).toEqual([1, 2, 3]);
      expect(broker.calls).toEqual([`subscribe ${name}`]);
      await vel.close();
    }
  });

  test("asks the authorize of the channel, as at subscribing", async () => {
    const { channels, vel, speaker } = fixture({ authorize: () => true });
    let isOpen = true;
    const own = channels.channel("own", { authorize: () => isOpen });
    const ada = await speaker();
    for (const channel of ["own", "news"]) ada.say({ type: "subscribe", channel });
    await take(ada.client);
    isOpen = false;
    await renew(ada.connection);
    expect(await heard(ada.client)).toEqual(["unsubscribed own channel_forbidden"]);
    expect([own.subscriberCount, channels.channel("news").subscriberCount]).toEqual([0, 1]);
    await vel.close();
  });

  test("ends them on whatever is not true, and reports what authorize throws", async () => {
    const answers: (() => unknown)[] = [
      () => undefined,
      () => "yes",
      () => Promise.resolve(1),
      () => {
        throw new Error("no database");
      },
      () => Promise.reject(new Error("no answer")),
    ];
    const all: string[] = [];
    for (const answer of answers) {
      let isIn = false;
      const authorize = (): MaybePromise<boolean> => (isIn ? (answer() as boolean) : true);
      const { channels, vel, speaker, errors } = fixture({ authorize });
      const ada = await speaker();
      ada.say({ type: "subscribe", channel: "news" });
      await take(ada.client);
      isIn = true;
      await renew(ada.connection);
      expect(await heard(ada.client)).toEqual(["unsubscribed news channel_forbidden"]);
      expect(channels.size).toBe(0);
      all.push(...errors);
      await vel.close();
    }
    expect(all).toEqual(["authorize: Error: no database", "authorize: Error: no answer"]);
  });

  test("does not ask about what server code has subscribed to: nobody was asked then either", async () => {
    const { channels, vel, speaker } = fixture();
    const ada = await speaker("orders");
    await channels.channel("news").subscribe(ada.connection);
    await channels.subscribe("chat.*", ada.connection);
    expect(ada.listeners()).toBe(0);
    await renew(ada.connection);
    await channels.channel("news").publish(1);
    await channels.channel("chat.a").publish(2);
    expect(await heard(ada.client)).toEqual(["subscribed news", "subscribed chat.*", 1, 2]);
    await vel.close();
  });

  // A client's frame takes the server's filter off: what it may see by that goes with its rights.
  test("asks about what server code has subscribed to when the client has asked for it too", async () => {
    const { channels, vel, speaker } = fixture();
    const ada = await speaker("news");
    const subscriber = await channels.channel("news").subscribe(ada.connection, { filter: () => false });
    ada.say({ type: "subscribe", channel: "news" });
    await settle();
    await channels.channel("news").publish(1);
    await renew(ada.connection);
    await channels.channel("news").publish(2);
    expect(await heard(ada.client)).toEqual([
      "subscribed news",
      "subscribed news",
      1,
      "unsubscribed news channel_forbidden",
    ]);
    subscriber.unsubscribe(); // has ended
    expect(channels.size).toBe(0);
    await vel.close();
  });

  test("lets a subscription go on until authorize has answered", async () => {
    const { channels, vel, ada, answer } = await slowFixture();
    const renewing = watch(renew(ada.connection));
    await settle();
    await channels.channel("news").publish("meanwhile");
    expect([await heard(ada.client), renewing.isDone]).toEqual([["meanwhile"], false]);
    await answer();
    await channels.channel("news").publish("after");
    expect([await heard(ada.client), renewing.isDone]).toEqual([["unsubscribed news channel_forbidden"], true]);
    await vel.close();
  });

  test("asks once more after a question that it overtook, never twice at a time", async () => {
    const { vel, ada, answer, state } = await slowFixture();
    const renewals = [
      watch(renew(ada.connection, "news")),
      watch(renew(ada.connection, "news", "chat")),
      watch(renew(ada.connection)),
    ];
    await settle();
    expect(state.asked).toBe(1);
    await answer();
    expect([state.asked, renewals.some(({ isDone }) => isDone)]).toEqual([2, false]);
    await answer();
    expect([state.asked, renewals.every(({ isDone }) => isDone)]).toEqual([2, true]);
    expect(await heard(ada.client)).toEqual(["unsubscribed news channel_forbidden"]);
    await vel.close();
  });

  test("is asked about anew when the one before is decided", async () => {
    const { vel, ada, answer, state } = await slowFixture();
    for (let i = 1; i <= 3; i++) {
      const renewing = watch(renew(ada.connection, "news"));
      await answer();
      expect([renewing.isDone, state.asked]).toEqual([true, i]);
    }
    await vel.close();
  });

  test("ends a subscription on a no, also when more rights have come since", async () => {
    const { vel, ada, answer, state } = await slowFixture();
    void renew(ada.connection);
    const second = watch(renew(ada.connection, "news"));
    await answer();
    expect([state.asked, second.isDone]).toEqual([1, true]);
    expect(await heard(ada.client)).toEqual(["unsubscribed news channel_forbidden"]);
    await vel.close();
  });

  test("does nothing about what ends meanwhile, however it does", async () => {
    for (const end of ["frame", "server", "channel", "manager", "connection"]) {
      const { channels, vel, ada, answer, state, errors } = await slowFixture();
      const renewing = watch(renew(ada.connection));
      await settle();
      if (end === "frame") ada.say({ type: "unsubscribe", channel: "news" });
      if (end === "server") channels.unsubscribe("news", ada.connection);
      if (end === "channel") channels.channel("news").close();
      if (end === "manager") await channels.close();
      if (end === "connection") ada.client.drop();
      await settle();
      await answer();
      expect([await heard(ada.client), renewing.isDone, state.asked, errors]).toEqual([[], true, 1, []]);
      expect(ada.listeners()).toBe(0);
      await vel.close();
    }
  });

  test("does not end what was ended meanwhile and allowed anew", async () => {
    const { channels, vel, ada, answer, state } = await slowFixture();
    void renew(ada.connection);
    await settle();
    state.isSlow = false;
    ada.say({ type: "unsubscribe", channel: "news" });
    void renew(ada.connection, "news");
    ada.say({ type: "subscribe", channel: "news" });
    await settle();
    await answer();
    await channels.channel("news").publish("here");
    expect(await heard(ada.client)).toEqual(["subscribed news", "here"]);
    await vel.close();
  });

  test("asks again about a subscribe that is not answered yet, and waits for that", async () => {
    const slow = slowAuthorize();
    const { channels, vel, speaker } = fixture({ authorize: slow.authorize });
    const ada = await speaker("news");
    ada.say({ type: "subscribe", channel: "news", id: 1 });
    const renewing = watch(renew(ada.connection));
    await slow.answer(); // a yes to what it was
    expect([channels.size, slow.state.asked, renewing.isDone]).toEqual([0, 2, false]);
    await slow.answer();
    expect([channels.size, slow.state.asked, renewing.isDone, ada.listeners()]).toEqual([0, 2, true, 0]);
    expect(await heard(ada.client)).toEqual(["error channel_forbidden 1"]);

    ada.say({ type: "subscribe", channel: "news", id: 2 });
    void renew(ada.connection, "news");
    await slow.answer(); // a no counts at once
    ada.say({ type: "subscribe", channel: "news", id: 3 });
    void renew(ada.connection, "news");
    await slow.answer();
    await slow.answer();
    expect(await heard(ada.client)).toEqual(["error channel_forbidden 2", "subscribed news", "ok news 3"]);
    expect([channels.size, ada.listeners()]).toEqual([1, 1]);
    await vel.close();
  });

  test("ends a subscription that still reads what it missed; its subscribe is answered with an error", async () => {
    const broker = new WiredBroker();
    const { channels, vel, speaker } = fixture({ broker, history });
    const news = channels.channel<number>("news");
    const since = await publishAll(news, 1);
    await publishAll(news, 2, 3);
    let go: () => void = () => undefined;
    broker.onHistory = (result, { limit }) =>
      limit === 0
        ? result
        : new Promise((resolve) => {
            go = () => {
              resolve(result);
            };
          });
    const ada = await speaker("news");
    ada.say({ type: "subscribe", channel: "news", id: 1, since });
    await settle();
    await renew(ada.connection);
    for (let i = 0; i < 3; i++) {
      go();
      await settle();
    }
    expect(await heard(ada.client)).toEqual(["unsubscribed news channel_forbidden", "error channel_forbidden 1"]);
    expect([channels.size, broker.subscriptions]).toEqual([0, 0]);
    await vel.close();
  });

  test("sends nothing that waited for a slow client, but that it has ended", async () => {
    const policies = ["queue", "drop", { latestBy: (data: unknown) => String(data) }] as const;
    for (const onFull of policies) {
      const { channels, vel, speaker } = fixture({ history }, { sendBuffer: { limit: 1_024 } });
      const ada = await speaker("news", "chat");
      ada.say({ type: "subscribe", channel: "news" });
      ada.say({ type: "subscribe", channel: "chat" });
      await take(ada.client);
      const news = channels.channel<string>("news");
      const subscriber = await news.subscribe(ada.connection, { onFull });
      await channels.channel("chat").subscribe(ada.connection, { onFull: "queue" });
      await take(ada.client);
      ada.client.pause();
      const text = "x".repeat(50);
      for (let i = 0; i < 30; i++) await news.publish(`${String(i)} ${text}`);
      await channels.channel("chat").publish("hello");
      await renew(ada.connection, "chat");
      ada.client.resume();
      await settle();
      const got = await heard(ada.client);
      // What the connection's own buffer had taken comes; nothing of the queue does.
      const sent = got.findIndex((each) => String(each).startsWith("unsubscribed"));
      expect(sent).toBeLessThan(8);
      expect(got.slice(0, sent)).toEqual(Array.from({ length: sent }, (_, i) => `${String(i)} ${text}`));
      expect(got.slice(sent).toSorted()).toEqual(["hello", "unsubscribed news channel_forbidden"]);
      expect(subscriber.dropped).toBe(onFull === "drop" ? 30 - sent : 0);
      expect(ada.connection.isOpen).toBe(true);
      await vel.close();
    }
  });

  test("tells a client too that has no room for it now", async () => {
    const { channels, vel, speaker } = fixture({}, { sendBuffer: { limit: 1_024, onFull: "drop" } });
    const ada = await speaker("news");
    ada.say({ type: "subscribe", channel: "news" });
    await settle();
    const news = channels.channel<string>("news");
    await news.subscribe(ada.connection, { onFull: "queue" });
    await take(ada.client);
    ada.client.pause();
    for (let i = 0; i < 20; i++) await news.publish("x".repeat(50));
    while (ada.connection.send('{"type":"other"}') !== "dropped");
    await renew(ada.connection);
    ada.client.resume();
    await settle();
    expect((await heard(ada.client)).at(-1)).toBe("unsubscribed news channel_forbidden");
    await vel.close();
  });

  test("sends nothing more of what is recovered", async () => {
    const { channels, vel, speaker } = fixture({ history }, { sendBuffer: { limit: 1_024 } });
    const news = channels.channel<string>("news");
    const since = await news.publish("first");
    for (let i = 0; i < 50; i++) await news.publish(`${String(i)} ${"x".repeat(50)}`);
    const ada = await speaker("news");
    ada.client.pause();
    ada.say({ type: "subscribe", channel: "news", since });
    await settle();
    await renew(ada.connection);
    ada.client.resume();
    await settle();
    const got = await heard(ada.client);
    expect(got.length).toBeLessThan(10);
    expect([got[0], got.at(-1)]).toEqual(["subscribed news", "unsubscribed news channel_forbidden"]);
    await vel.close();
  });

  test("has publishing asked about each time, and follows what was allowed before", async () => {
    const { channels, vel, speaker } = fixture();
    const ada = await speaker("publish news");
    await channels.channel("news").subscribe(ada.connection);
    ada.say({ type: "publish", channel: "news", data: 1, id: 1 });
    await settle();
    await renew(ada.connection);
    ada.say({ type: "publish", channel: "news", data: 2, id: 2 });
    expect(await heard(ada.client)).toEqual(["subscribed news", 1, "ok news 1", "error channel_forbidden 2"]);
    await vel.close();
  });

  test("does not go round in circles with an authorize that renews", async () => {
    for (const isLater of [false, true]) {
      let asked = 0;
      const authorize: Authorize = (connection, ...rest) => {
        asked++;
        void connection.renew({ asked });
        const answer = byRights(connection, ...rest);
        return isLater ? Promise.resolve(answer) : answer;
      };
      const { channels, vel, speaker } = fixture({ authorize });
      const ada = await speaker("news");
      ada.say({ type: "subscribe", channel: "news" });
      await settle();
      await renew(ada.connection, "news");
      await settle();
      expect([asked, channels.size]).toEqual([2, 1]);
      await renew(ada.connection);
      expect([asked, channels.size]).toEqual([3, 0]);
      await vel.close();
    }
  });

  test("costs a connection one listener while it has asked for channels, and none otherwise", async () => {
    const { channels, vel, speaker } = fixture();
    const ada = await speaker("news", "chat", "orders.*");
    for (const channel of ["news", "chat", "orders.*", "news"]) ada.say({ type: "subscribe", channel });
    await settle();
    expect(ada.listeners()).toBe(1);
    ada.say({ type: "unsubscribe", channel: "news" });
    await settle();
    expect(ada.listeners()).toBe(1);
    await renew(ada.connection, "chat");
    expect(ada.listeners()).toBe(1);
    channels.unsubscribe("chat", ada.connection);
    expect(ada.listeners()).toBe(0);
    ada.say({ type: "subscribe", channel: "chat" });
    await settle();
    expect(ada.listeners()).toBe(1);
    await channels.close();
    expect(ada.listeners()).toBe(0);
    await vel.close();
  });

  test("leaves no listener behind where a subscribe fails", async () => {
    const broker = new WiredBroker();
    broker.onSubscribe = () => Promise.reject(new Error("down"));
    const { channels, vel, speaker } = fixture({ broker, maxChannelsPerConnection: 1 });
    const ada = await speaker("news", "chat");
    ada.say({ type: "subscribe", channel: "news" });
    await settle();
    expect([ada.listeners(), channels.size]).toEqual([0, 0]);
    broker.onSubscribe = () => undefined;
    ada.say({ type: "subscribe", channel: "chat" });
    ada.say({ type: "subscribe", channel: "news" }); // one too many
    ada.say({ type: "subscribe", channel: "other" });
    await settle();
    expect([ada.listeners(), channels.size]).toEqual([1, 1]);
    ada.connection.terminate();
    await settle();
    expect([ada.listeners(), channels.size]).toEqual([0, 0]);
    await vel.close();
  });

  test("reports a codec that cannot say that a subscription has ended, which has all the same", async () => {
    const protocol = {
      encode: (frame: { type: string }): string => {
        if (frame.type === "unsubscribed") throw new TypeError("no such frame");
        return JSON.stringify(frame);
      },
    };
    const { channels, vel, speaker, errors } = fixture({ protocol });
    const ada = await speaker("news");
    ada.say({ type: "subscribe", channel: "news" });
    await settle();
    await renew(ada.connection);
    expect([channels.size, errors]).toEqual([0, ["encode: TypeError: no such frame"]]);
    await vel.close();
  });
});
