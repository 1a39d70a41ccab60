export { createChat, type Chat } from "./chat.ts";
export type { Page } from "./page.ts";
export type { ChatOptions } from "./settings.ts";
