import type { Step, StepOptions } from "./side-by-side.js";

const JSON_TYPE: StepOptions = { contentType: "application/json" };

/** The same request with each of these bodies. */
export function each(method: string, path: string, bodies: readonly unknown[]): Step[] {
  return bodies.map(
    (body): Step => [method, path, typeof body === "string" ? body : JSON.stringify(body), JSON_TYPE],
  );
}

/** The same requests without anything, with wrong media types and with keys that do not fit. */
export function refusedAnyway(method: string, path: string): Step[] {
  return [
    [method, path, "{}", { contentType: "text/plain" }],
    [method, path],
    ...each(method, path, ["", "{", "[]", '"x"', "1", "null"]),
    [method, path, "{}", { authorization: null }],
    [method, path, "{}", { authorization: "Bearer wrong" }],
  ];
}
