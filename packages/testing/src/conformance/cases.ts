/**
 * Every conformance case, in the order of tables.
 *
 * @module
 */
import type { ConformanceCase } from "./case.ts";
import { capabilityCases } from "./capability-cases.ts";
import { closeCases } from "./close-cases.ts";
import { handlerCases } from "./handler-cases.ts";
import { lifeCases } from "./life-cases.ts";
import { messageCases } from "./message-cases.ts";
import { prepareCases } from "./prepare-cases.ts";
import { pressureCases } from "./pressure-cases.ts";
import { upgradeCases } from "./upgrade-cases.ts";
import { closeAttacks } from "./hostile/close-attacks.ts";
import { deflateAttacks } from "./hostile/deflate-attacks.ts";
import { floodAttacks } from "./hostile/flood-attacks.ts";
import { framingAttacks } from "./hostile/framing-attacks.ts";
import { handshakeAttacks } from "./hostile/handshake-attacks.ts";
import { jsonAttacks } from "./hostile/json-attacks.ts";
import { originAttacks } from "./hostile/origin-attacks.ts";
import { payloadAttacks } from "./hostile/payload-attacks.ts";
import { textAttacks } from "./hostile/text-attacks.ts";

/** Every case that `runTransportConformance()` can run: for test runners that want to list them, and for tables. */
export const conformanceCases: readonly ConformanceCase[] = [
  ...capabilityCases,
  ...messageCases,
  ...handlerCases,
  ...upgradeCases,
  ...prepareCases,
  ...closeCases,
  ...pressureCases,
  ...lifeCases,
  ...framingAttacks,
  ...textAttacks,
  ...payloadAttacks,
  ...floodAttacks,
  ...handshakeAttacks,
  ...closeAttacks,
  ...deflateAttacks,
  ...jsonAttacks,
  ...originAttacks,
];
