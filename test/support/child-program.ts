import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { basename, join, relative, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, type Plugin } from "esbuild";

const root = fileURLToPath(new URL("../../", import.meta.url));
/** Inside the package, so that imports of dependencies resolve from there. */
const directory = join(root, "node_modules", ".cache", "child-programs");

/** Modules find files beside them by their own URL; each keeps it, although it runs from the bundle. */
const ownUrls: Plugin = {
  name: "own-urls",
  setup: ({ onLoad }) => {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => ({
      loader: "ts",
      contents: (await readFile(path, "utf8")).replaceAll(
        "import.meta.url",
        JSON.stringify(pathToFileURL(path).href),
      ),
    }));
  },
};

const bundles = new Map<string, Promise<string>>();

/**
 * Makes one JavaScript file of a TypeScript program, so that a child process starts in a fraction of the time that
 * compiling takes it. Resolves with its path, for `spawn(process.execPath, [path, …])`; a file is bundled once.
 */
export function bundleChild(file: string | URL): Promise<string> {
  const path = typeof file === "string" ? file : fileURLToPath(file);
  const known = bundles.get(path) ?? bundle(path);
  bundles.set(path, known);
  return known;
}

async function bundle(path: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [path],
    bundle: true,
    write: false,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    plugins: [ownUrls],
  });
  const [output] = outputFiles;
  if (output === undefined) throw new Error(`esbuild made nothing of ${path}`);
  await mkdir(directory, { recursive: true });
  const name = relative(root, path).replaceAll(sep, "-").replace(/\.ts$/, "");
  const target = join(directory, `${name}.mjs`);
  // Test files that run at once bundle the same program; each must find a whole one.
  const unfinished = join(directory, `${basename(name)}.${process.pid}.tmp`);
  await writeFile(unfinished, output.contents);
  await rename(unfinished, target);
  return target;
}
