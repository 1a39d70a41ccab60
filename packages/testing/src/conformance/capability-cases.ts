/**
 * That an adapter can do what it says, and does not pretend to more.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";

import type { ConformanceCase } from "./case.ts";
import { frame, opcodes } from "./bytes.ts";

const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** Cases about {@link Capabilities}. */
export const capabilityCases: readonly ConformanceCase[] = [
  {
    name: "capabilities: are what was declared, and frozen",
    async run(trial) {
      const target = await trial.serve();
      const { connection } = await target.pair("/echo");
      assert.deepEqual(connection.capabilities, trial.capabilities);
      assert(Object.isFrozen(connection.capabilities), "capabilities can be changed");
    },
  },
  {
    name: "ping: is a frame on the wire, and its pong comes back",
    needs: { ping: true, sockets: true },
    otherwise: "ping: is refused where it cannot be sent",
    async run(trial) {
      const target = await trial.serve();
      const { client, connection } = await target.rawPair("/echo");
      const pongs: string[] = [];
      const heard = new Promise<void>((resolve) => {
        connection.onPong((data) => {
          if (pongs.push(Buffer.from(data).toString()) === 2) resolve();
        });
      });
      connection.ping(bytes("are you there"));
      connection.ping();
      assert.equal(Buffer.from(await client.pinged()).toString(), "are you there");
      assert.equal((await client.pinged()).byteLength, 0);
      assert.deepEqual(
        client.frames.map(({ opcode }) => opcode),
        [opcodes.ping, opcodes.ping],
      );
      client.write(frame(opcodes.pong, "are you there"), frame(opcodes.pong));
      await heard;
      assert.deepEqual(pongs, ["are you there", ""]);
      assert.equal(connection.framesReceived, 2);
    },
  },
];
