export type { ChannelInfo } from "./channel-info.ts";
export { ChannelManager, type ChannelManagerOptions } from "./channel-manager.ts";
export type { ChannelMessage } from "./channel-message.ts";
export type {
  Authorize,
  ChannelHistory,
  ChannelOptions,
  ChannelPublishOptions,
  CommonOptions,
  ReadOptions,
  SpeechOptions,
  SubscribeOptions,
  Subscriber,
} from "./channel-options.ts";
export { Channel } from "./channel.ts";
export type { FrameEncoder } from "./delivery.ts";
export type { ChannelErrorCode } from "./errors.ts";
export type { EventRequest } from "./event-stream.ts";
export type { FullPolicy } from "./outlet.ts";
export { encodeEvent, type SseEvent } from "./sse-event.ts";
export { sse, type SseOptions } from "./sse.ts";
