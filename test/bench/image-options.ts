import { readFileSync } from "node:fs";

const NODE_OPTIONS = /^ENV NODE_OPTIONS=(.+)$/m;

/**
 * The environment of a Miroir process that is measured: the options of Node.js that the image gives it, unless `NODE_OPTIONS` says others, and
 * the log as it is by default.
 */
export function imageEnvironment(): Readonly<Record<string, string>> {
  const dockerfile = readFileSync(new URL("../../Dockerfile", import.meta.url), "utf8");
  const options = process.env.NODE_OPTIONS ?? NODE_OPTIONS.exec(dockerfile)?.[1];
  if (options === undefined) throw new Error("the Dockerfile sets no NODE_OPTIONS");
  return { MIROIR_LOG_LEVEL: "info", NODE_OPTIONS: options };
}
