export { TestClient } from "./client.ts";
export { connect, type ConnectOptions } from "./connect.ts";
export { HandshakeError } from "./handshake-error.ts";
export { ManualClock } from "./manual-clock.ts";
export type { MemorySocket } from "./memory-socket.ts";
export { memoryTransport, type MemoryTransportOptions } from "./memory-transport.ts";
export { settle } from "./settle.ts";
