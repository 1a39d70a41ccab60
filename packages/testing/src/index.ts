export { connect, HandshakeError, TestClient, type ConnectOptions } from "./client.ts";
export { ManualClock } from "./manual-clock.ts";
export type { MemorySocket } from "./memory-socket.ts";
export { memoryTransport, type MemoryTransportOptions } from "./memory-transport.ts";
export { settle } from "./settle.ts";
