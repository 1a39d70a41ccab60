/**
 * Bytes in both directions: the specification's "Binary Data Handling".
 *
 * @module
 */
import type { Vel } from "@vel/core";

/** Adds `/ws/binary`, which sends the negative of each grey image back, a byte a pixel. Text closes with 1007. */
export function binary(vel: Vel): void {
  vel.websocket("/ws/binary", async (request) => {
    const connection = await request.accept();
    for await (const image of connection.bytes()) connection.send(negativeOf(image));
    console.log("Binary WebSocket disconnected");
  });
}

function negativeOf(image: Uint8Array): Uint8Array {
  return image.map((pixel) => 255 - pixel);
}
