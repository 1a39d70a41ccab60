/** Reads the text that Prometheus reads (exposition format 0.0.4), as strictly as it is written down. */

export interface Line {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Block {
  readonly name: string;
  readonly help: string | undefined;
  readonly type: string;
  readonly lines: readonly Line[];
}

/** @throws {Error} When a line is not what the format says. */
export function parseExposition(text: string): readonly Block[] {
  if (text === "") return [];
  if (!text.endsWith("\n")) throw new Error("The last line must end");
  const blocks: { name: string; help: string | undefined; type: string; lines: Line[] }[] = [];
  let help: readonly [name: string, text: string] | undefined;
  for (const line of text.slice(0, -1).split("\n")) {
    const [, helpName, helpText = ""] = /^# HELP ([a-zA-Z_:][\w:]*) (.*)$/.exec(line) ?? [];
    const [, typeName, type = ""] = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram)$/.exec(line) ?? [];
    if (helpName !== undefined) help = [helpName, unescape(helpText)];
    else if (typeName !== undefined) {
      if (help && help[0] !== typeName) throw new Error(`Help of ${help[0]}, type of ${typeName}`);
      blocks.push({ name: typeName, help: help?.[1], type, lines: [] });
      help = undefined;
    } else blocks.at(-1)!.lines.push(parseLine(line));
  }
  return blocks;
}

function parseLine(line: string): Line {
  const label = String.raw`[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*"`;
  const pattern = new RegExp(String.raw`^([a-zA-Z_:][\w:]*)(?:\{(${label}(?:,${label})*)\})? (\S+)$`);
  const [, name, labels = "", value = ""] = pattern.exec(line) ?? [];
  if (name === undefined) throw new Error(`Not a line: ${line}`);
  const pairs = [...labels.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)].map(
    ([, key = "", text = ""]) => [key, unescape(text)] as const,
  );
  if (new Set(pairs.map(([key]) => key)).size !== pairs.length) throw new Error(`A label stands twice: ${line}`);
  return { name, labels: Object.fromEntries(pairs), value: parseNumber(value) };
}

function unescape(text: string): string {
  return text.replaceAll(/\\(.)/g, (_all, sign: string) => (sign === "n" ? "\n" : sign));
}

export function parseNumber(text: string): number {
  if (/^[+-]Inf$/.test(text)) return Number(`${text}inity`);
  if (text !== "NaN" && !/^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text)) throw new Error(`Not a number: ${text}`);
  return Number(text);
}
