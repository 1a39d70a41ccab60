export { Audience, type BroadcastOptions } from "./audience.ts";
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
export type { HeaderList, HeadersLike } from "./headers.ts";
export { randomId } from "./id.ts";
export type { JsonLimits } from "./json.ts";
export type { MaybePromise } from "./maybe-promise.ts";
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
export { Refusal, reject, type RejectOptions } from "./refusal.ts";
export { logError, type ErrorContext } from "./report.ts";
export type { Admission, PendingRequest, UpgradeRequest } from "./request.ts";
export { createVel } from "./server.ts";
export { validate, type StandardSchemaV1 } from "./standard-schema.ts";
export type { Accepted, Capabilities, Handshake, Host, Refused, Remote, Transport } from "./transport.ts";
export type {
  AdoptOptions,
  CheckingGuard,
  CloseOptions,
  CompressionOptions,
  Hooks,
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
