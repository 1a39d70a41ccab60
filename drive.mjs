import { spawn } from "node:child_process"; import { once } from "node:events"; import { dirname } from "node:path"; import { createRequire } from "node:module";
import { WebSocket } from "ws";
const require = createRequire(import.meta.url);
const cmds = { bun: [dirname(require.resolve("bun/package.json")) + "/bin/bun.exe", ["--conditions=@vel/source", "app.ts"]], deno: [dirname(require.resolve("deno/package.json")) + "/deno", ["run", "--no-check", "--allow-all", "--conditions=@vel/source", "app.ts"]] };
for (const [name, [cmd, args]] of Object.entries(cmds)) {
  const p = spawn(cmd, args, { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(p.stdout, "data"); const port = String(line).trim();
  console.log("==", name, port, await (await fetch(`http://127.0.0.1:${port}/`)).text());
  const open = (path, protocols, o) => new Promise((res) => { const ws = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, o); ws.msgs = []; ws.on("message", (d, b) => ws.msgs.push(b ? d : String(d))); ws.on("upgrade", r => ws.up = r.headers); ws.on("open", () => res(ws)); ws.on("unexpected-response", async (q, r) => { let b = ""; for await (const c of r) b += c; res({ status: r.statusCode, headers: r.headers, b }); }); ws.on("error", () => {}); });
  const wait = (ms) => new Promise(r => setTimeout(r, ms));
  const a = await open("/ws", ["x", "chat"]); a.send("t"); a.send(Buffer.from([1,2])); a.send(""); await wait(100);
  console.log(a.protocol, a.extensions, a.msgs);
  a.close(4000, "bye"); await wait(50);
  const b = await open("/ws"); b.terminate(); await wait(80);
  const c = await open("/pull/z"); c.send("1"); c.send("2"); await wait(50); console.log(c.msgs, c.up["set-cookie"]);
  const n = await open("/no"); console.log(n.status, n.b, n.headers["x-a"]);
  const r = await open("/close"); console.log(await new Promise(x => r.on("close", (code, re) => x([code, String(re)]))));
  const big = await open("/ws"); big.send("x".repeat(1 << 20 | 1)); console.log("big", await new Promise(x => big.on("close", (code) => x(code))));
  const np = await open("/ws", ["nope"]); console.log("noproto", np.status ?? np.protocol);
  p.kill("SIGKILL");
}
process.exit();
