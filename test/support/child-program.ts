import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
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
 * Makes JavaScript of a TypeScript program, so that a child process starts in a fraction of the time that compiling takes it. What the
 * program imports when it needs it is a file of its own, so that a process loads what it would as installed. Resolves with its path,
 * for `spawn(process.execPath, [path, …])`; a program is bundled once.
 */
export function bundleChild(file: string | URL): Promise<string> {
  const path = typeof file === "string" ? file : fileURLToPath(file);
  const known = bundles.get(path) ?? bundle(path);
  bundles.set(path, known);
  return known;
}

async function bundle(path: string): Promise<string> {
  const name = relative(root, path).replaceAll(sep, "-").replace(/\.ts$/, "");
  const { outputFiles } = await build({
    entryPoints: [path],
    bundle: true,
    splitting: true,
    write: false,
    outdir: directory,
    entryNames: name,
    // By their contents, so that they stay what they are for programs that run.
    chunkNames: `${name}-[hash]`,
    outExtension: { ".js": ".mjs" },
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    plugins: [ownUrls],
  });
  await mkdir(directory, { recursive: true });
  const target = join(directory, `${name}.mjs`);
  // The program last: whoever finds it finds all its parts.
  const inOrder = outputFiles.toSorted((a, b) => Number(a.path === target) - Number(b.path === target));
  for (const { path: file, contents } of inOrder) {
    // Test files that run at once bundle the same program; each must find whole files.
    const unfinished = `${file}.${process.pid}.tmp`;
    await writeFile(unfinished, contents);
    await rename(unfinished, file);
  }
  return target;
}
