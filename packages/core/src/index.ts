export { networkOf } from "./address.ts";
export { Audience, type BroadcastOptions } from "./audience.ts";
export type {
  Broker,
  BrokerState,
  HistoryOptions,
  HistoryResult,
  Position,
  Publication,
  PublishOptions,
  Retention,
} from "./broker.ts";
export { systemClock, type Clock } from "./clock.ts";
export {
  assertCloseCode,
  closeCodes,
  shouldReconnect,
  truncateReason,
  type CloseCode,
  type CloseInfo,
} from "./close.ts";
export type { Connection, ReceiveOptions, SendOptions } from "./connection.ts";
export { EventEmitter, type Emitter, type Unsubscribe } from "./emitter.ts";
export { DisconnectError, InvalidMessageError, VelError, type VelErrorCode } from "./errors.ts";
export { assertFrame, isFrameId, jsonCodec, type Codec, type Frame, type FrameId } from "./frame.ts";
export { findHandshakeFault } from "./handshake.ts";
export type { HeaderList, HeadersLike } from "./headers.ts";
export { randomId } from "./id.ts";
export type { JsonLimits } from "./json.ts";
export { isPromise, notify, type MaybePromise } from "./maybe-promise.ts";
export {
  Histogram,
  type Distribution,
  type HistogramMeasurement,
  type Measurable,
  type Measurement,
  type NumberMeasurement,
} from "./measurement.ts";
export { MemoryBroker, type MemoryBrokerOptions } from "./memory-broker.ts";
export { MemoryPresenceStore } from "./memory-presence.ts";
export type { Outgoing } from "./outgoing.ts";
export type { AnyParams, PathParams } from "./path.ts";
export {
  encode,
  encodeJson,
  payloadSize,
  type Json,
  type Message,
  type Payload,
  type Received,
  type SendStatus,
} from "./payload.ts";
export type { PresenceEntry, PresenceStore } from "./presence.ts";
export {
  errorFrame,
  Protocol,
  type ErrorFrame,
  type FrameHandler,
  type FrameHandlers,
  type ProtocolOptions,
  type Reply,
  type RequestOptions,
} from "./protocol.ts";
export { Refusal, reject, type RejectOptions } from "./refusal.ts";
export { Renewals } from "./renewals.ts";
export { logError, report, type ErrorContext } from "./report.ts";
export type { Admission, PendingRequest, UpgradeRequest } from "./request.ts";
export { createVel } from "./server.ts";
export { validate, type StandardSchemaV1 } from "./standard-schema.ts";
export { assertTopic, matchesTopic, TopicTree } from "./topic.ts";
export type { Accepted, Capabilities, Handshake, Host, Refused, Remote, Transport } from "./transport.ts";
export type {
  AdoptOptions,
  CheckingGuard,
  CloseOptions,
  CompressionOptions,
  Hooks,
  Inspector,
  LimitOptions,
  ProvidingGuard,
  PullHandler,
  RouteOptions,
  Routes,
  SendBuffer,
  Vel,
  VelEvents,
  VelOptions,
} from "./vel.ts";
