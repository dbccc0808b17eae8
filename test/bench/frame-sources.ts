/** Whose code a frame is. */
export type FrameGroup = "miroir" | "dependencies" | "node" | "native";

/** Where a function is written, without anything of the machine that it ran on. */
export interface FrameSource {
  readonly group: FrameGroup;
  /** A file of the package, of a dependency (`undici/lib/…`) or of Node.js (`node:net`); empty for native code and the collector. WebAssembly tells no file. */
  readonly file: string;
}

/** Lines of a bundle at which the code of a file begins, in ascending order. */
export type BundleFiles = readonly { readonly line: number; readonly file: string }[];

const BUNDLED_FILE = /^\/\/ ((?:src|test|node_modules)\/\S+)$/;

/** Finds which files a bundle consists of: the bundler names each above its code. */
export function bundleFiles(text: string): BundleFiles {
  return text.split("\n").flatMap((content, line) => {
    const file = BUNDLED_FILE.exec(content)?.[1];
    return file === undefined ? [] : [{ line, file }];
  });
}

const DEPENDENCY = /^.*\/node_modules\/(?!\.)/;
const OWN = /^.*\/(?=(?:src|dist|test)\/)/;

/**
 * Tells where the function at a place of a profile is written. `bundle` gives the files of the program at `url` where it is
 * a bundle; lines are counted from 0.
 */
export function frameSource(
  url: string,
  line: number,
  bundle: (url: string) => BundleFiles | undefined,
): FrameSource {
  if (url === "") return { group: "native", file: "" };
  if (url.startsWith("node:")) return { group: "node", file: url };
  if (url.startsWith("wasm:")) return { group: "dependencies", file: "WebAssembly" };
  const bundled = bundle(url)?.findLast((file) => file.line <= line)?.file;
  const path = bundled === undefined ? url : `/${bundled}`;
  if (DEPENDENCY.test(path)) return { group: "dependencies", file: path.replace(DEPENDENCY, "") };
  return {
    group: "miroir",
    file: OWN.test(path) ? path.replace(OWN, "") : path.slice(path.lastIndexOf("/") + 1),
  };
}

/** The part of the program that a file belongs to: a folder, a package, a module of Node.js. */
export function areaOf({ file, group }: FrameSource, name: string): string {
  const parts = file.split("/");
  switch (group) {
    case "native":
      return name.startsWith("(") ? name : "native functions";
    case "miroir":
      return parts.slice(0, parts[1] === "proxy" ? 3 : 2).join("/");
    case "dependencies":
      return parts.slice(0, file.startsWith("@") ? 2 : 1).join("/");
    case "node":
      return parts.slice(0, 2).join("/");
  }
}
