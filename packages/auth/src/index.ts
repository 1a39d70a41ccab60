export type { Algorithm } from "./algorithm.ts";
export { apiKey, type ApiKeyOptions, type ApiKeySource } from "./api-key.ts";
export type { AuthErrorCode } from "./errors.ts";
export type {
  FirstMessageOptions,
  GuardOptions,
  Identity,
  RefuseOption,
  RefuseReason,
  TokenSource,
} from "./guard-options.ts";
export { JwtHandler, type RevokeOptions } from "./jwt-handler.ts";
export type { JwtOptions, JwtOptionsBase, KeyOptions, RemoteKeysOptions } from "./jwt-options.ts";
export type { FoundKey } from "./key-judge.ts";
export type { RevokeTarget } from "./revoke-target.ts";
export { digestSecret, equalSecrets, generateApiKey, type GeneratedApiKey } from "./secret.ts";
export type { SignOptions } from "./sign-options.ts";
export type { TicketOptions } from "./tickets.ts";
export type { JwtClaims } from "./verified-token.ts";
