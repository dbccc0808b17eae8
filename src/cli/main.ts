#!/usr/bin/env node
import module from "node:module";
import { setFlagsFromString } from "node:v8";

// Before anything else is loaded. What was compiled at an earlier start is taken from a folder of temporary files, by releases of Node.js that
// can do so.
(module as { readonly enableCompileCache?: () => unknown }).enableCompileCache?.();
// WebAssembly stays as it is compiled first: to optimize undici's HTTP parser takes 35 MB and a fifth of a second of a core in the midst of a
// process's first requests, and nothing measurable is gained by it (decision 37).
setFlagsFromString("--no-wasm-tier-up");
setFlagsFromString("--no-wasm-dynamic-tiering");
const { runCommandLine } = await import("./command-line.js");
await runCommandLine();
