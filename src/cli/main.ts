#!/usr/bin/env node
import module from "node:module";

// Before anything else is loaded: what was compiled at an earlier start is taken from a folder of temporary files, by releases of Node.js that
// can do so.
(module as { readonly enableCompileCache?: () => unknown }).enableCompileCache?.();
const { runCommandLine } = await import("./command-line.js");
await runCommandLine();
