export { TestClient } from "./client.ts";
export { connect, type ConnectOptions } from "./connect.ts";
export { HandshakeError } from "./handshake-error.ts";
export { ManualClock } from "./manual-clock.ts";
export type { MemorySocket } from "./memory-socket.ts";
export { memoryTransport, type MemoryTransportOptions } from "./memory-transport.ts";
export { settle } from "./settle.ts";
export type { ConformanceCase, Traits } from "./conformance/case.ts";
export { conformanceCases } from "./conformance/cases.ts";
export {
  runTransportConformance,
  type ConformanceOptions,
  type ConformanceResult,
  type Deviation,
} from "./conformance/conformance.ts";
export { conformanceTable } from "./conformance/table.ts";
export type { StartedAdapter } from "./conformance/trial.ts";
export type { StartedBroker } from "./broker-conformance/broker-trial.ts";
export type { CaseOptions } from "./broker-conformance/case.ts";
export {
  runBrokerConformance,
  runPresenceConformance,
  type BrokerConformanceOptions,
  type PresenceConformanceOptions,
} from "./broker-conformance/conformance.ts";
export type { StartedPresence } from "./broker-conformance/presence-trial.ts";
