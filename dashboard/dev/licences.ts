import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Plugin } from "vite";

/** Writes licences.txt beside the page: of every package whose code or font is in the build. */
export function licences(): Plugin {
  return {
    name: "buraq-licences",
    apply: "build",
    generateBundle() {
      const homes = new Set<string>();
      for (const file of this.getModuleIds()) {
        const home = packageOf(file.replace(/^\0/, "").replace(/\?.*$/, ""));
        if (home) homes.add(home);
      }
      // Fonts are named by style sheets, which are no modules here.
      for (const font of ["geist", "geist-mono"])
        homes.add(join(import.meta.dirname, "../node_modules/@fontsource-variable", font));
      const texts = [...homes].map(licence).sort();
      this.emitFile({ type: "asset", fileName: "licences.txt", source: `${texts.join(`\n${"-".repeat(80)}\n\n`)}` });
    },
  };
}

function packageOf(file: string): string | null {
  if (!file.includes("node_modules")) return null;
  for (let folder = dirname(file); folder.includes("node_modules"); folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest) && "version" in JSON.parse(readFileSync(manifest, "utf8"))) return folder;
  }
  return null;
}

function licence(home: string): string {
  const { name, license } = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
  const file = readdirSync(home).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file ? readFileSync(join(home, file), "utf8").replaceAll("\r\n", "\n").trim() : `Licence: ${license}`;
  return `${name}\n\n${text}\n`;
}
