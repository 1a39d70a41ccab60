// Being written right now by the tooling helper (the one with the brief "everything at the root").
import { test } from "vitest";
test.todo("globals");
