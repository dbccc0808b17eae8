import { type LogLevel, logLevels } from "../../runtime/log-output.js";
import { invalidValue, type Reader, text } from "./body-schema.js";

/** The module names under which Miroir's lines are: its own, and the one that Meilisearch's documentation uses. */
const MODULES = ["miroir", "meilisearch"];
/** The levels as numbers count, from 0 on. */
const LEVELS = logLevels.filter((level) => level !== "fatal");

const EMPTY =
  "Empty string is not a valid target. If you want to get no logs use `OFF`. Usage: `info`, `meilisearch=info`, or you can write multiple filters in one target: `index_scheduler=info,milli=trace`";
const NOT_A_LEVEL =
  'error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5';

/**
 * How much of Miroir's log a target asks for: directives separated by commas, each a level, a module, or a module and its level. The
 * longest module that is Miroir's or the beginning of it counts; else the level without a module; else nothing.
 */
export const logTarget: Reader<LogLevel> = (value, path, code) => {
  const target = text(value, path, code);
  const refuse = (fault: string) => invalidValue(path, fault, code);
  if (target === "") throw refuse(EMPTY);
  let best: { readonly module: string; readonly level: LogLevel } | undefined;
  for (const directive of target.split(",")) {
    const { module, level } = readDirective(directive, refuse);
    if (!MODULES.some((name) => name.startsWith(module))) continue;
    if (best === undefined || module.length >= best.module.length) best = { module, level };
  }
  return best?.level ?? "off";
};

function readDirective(
  directive: string,
  refuse: (fault: string) => Error,
): { readonly module: string; readonly level: LogLevel } {
  const [first = "", second, ...more] = directive.split("=");
  if (second === undefined) {
    const level = readLevel(first);
    return level === undefined ? { module: first, level: "trace" } : { module: "", level };
  }
  if (more.length > 0)
    throw refuse("invalid filter directive: too many '=' in filter directive, expected 0 or 1");
  const [module = "", fields, ...others] = first.split("[{");
  if (others.length > 0) {
    throw refuse("invalid filter directive: too many '[{' in filter directive, expected 0 or 1");
  }
  if (fields !== undefined && !fields.endsWith("}]")) {
    throw refuse("invalid filter directive: expected fields list to end with '}]'");
  }
  const level = readLevel(second);
  if (level === undefined) throw refuse(NOT_A_LEVEL);
  return { module, level };
}

/** A name in any case or a number; without either it means errors. */
function readLevel(level: string): LogLevel | undefined {
  if (level === "") return "error";
  if (/^\+?\d+$/.test(level)) return LEVELS[Number(level)];
  return LEVELS.find((name) => name === level.toLowerCase());
}
