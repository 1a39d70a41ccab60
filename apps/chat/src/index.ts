export { createChat, type Chat } from "./chat.ts";
export { pageFiles, type Page } from "./page.ts";
export type { ChatOptions } from "./settings.ts";
