/**
 * A TCP proxy between a browser and the server, to break connections in the two ways in which they break.
 *
 * @module
 */
import { createConnection, createServer, type AddressInfo, type Socket } from "node:net";

/** A running proxy. */
export interface Proxy {
  readonly port: number;
  /** Whether new connections are reset at once: nobody comes back before it is false again. */
  isShut: boolean;
  /** Resets every connection there is. */
  reset(): void;
  /** Forwards nothing more from the server on the connections there are: what the client says still arrives. */
  deafen(): void;
  /** Forwards nothing more on the connections there are, and keeps them open; new ones work. */
  silence(): void;
  close(): Promise<void>;
}

/** Starts a proxy to a port of this machine. */
export async function startProxy(target: number): Promise<Proxy> {
  const pairs = new Set<readonly [client: Socket, server: Socket]>();
  const silenced: Socket[] = [];
  const proxy = createServer((client) => {
    if (handle.isShut) {
      client.resetAndDestroy();
      return;
    }
    const server = createConnection({ port: target, host: "127.0.0.1" });
    const pair = [client, server] as const;
    pairs.add(pair);
    for (const [from, to] of [pair, [server, client]] as const) {
      from.on("error", () => undefined);
      from.on("close", () => {
        // Of a silenced pair, one side must not hear from the other's end either.
        if (pairs.delete(pair)) to.destroy();
      });
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const handle: Proxy = {
    port: (proxy.address() as AddressInfo).port,
    isShut: false,
    reset() {
      for (const [client, server] of pairs) {
        client.resetAndDestroy();
        server.resetAndDestroy();
      }
    },
    deafen() {
      for (const [client, server] of pairs) swallow(server, client);
    },
    silence() {
      for (const [client, server] of pairs) {
        swallow(client, server);
        swallow(server, client);
        silenced.push(client, server);
      }
      pairs.clear();
    },
    async close() {
      for (const socket of [...silenced, ...[...pairs].flat()]) socket.destroy();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
  return handle;
}

/** Goes on reading, so that the one who writes does not notice by a full buffer. */
function swallow(from: Socket, to: Socket): void {
  from.unpipe(to);
  from.resume();
}
