// Fails when buraq/web/static is not, byte for byte, what these sources build.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const kept = fileURLToPath(new URL("../../buraq/web/static/", import.meta.url));
const home = fileURLToPath(new URL("..", import.meta.url));
const fresh = mkdtempSync(join(tmpdir(), "buraq-dashboard-"));

function files(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length).replace(/^\//, ""))
    .sort();
}

try {
  execFileSync("npx", ["vite", "build", "--outDir", fresh, "--logLevel", "error"], { cwd: home, stdio: "inherit" });
  const names = [...new Set([...files(kept), ...files(fresh)])];
  const differ = names.filter((name) => {
    try {
      return !readFileSync(join(kept, name)).equals(readFileSync(join(fresh, name)));
    } catch {
      return true; // it is on one side only
    }
  });
  if (differ.length) {
    console.error(
      `buraq/web/static is not what dashboard/ builds; run make dashboard and commit it. Different:\n  ${differ.join("\n  ")}`,
    );
    process.exitCode = 1;
  }
} finally {
  rmSync(fresh, { recursive: true });
}
