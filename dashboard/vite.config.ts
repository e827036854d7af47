import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import { fakeApi } from "./dev/fake/plugin.ts";
import { licences } from "./dev/licences.ts";

export default defineConfig(({ mode }) => ({
  // Relative, so that the page works wherever a blueprint is registered.
  base: "./",
  plugins: [react(), licences(), ...(mode === "fake" ? [fakeApi()] : [])],
  build: {
    outDir: "../buraq/web/static",
    emptyOutDir: true,
    target: ["chrome123", "firefox121", "safari17.5"],
    assetsInlineLimit: 0, // data: URLs would need a wider policy than 'self'
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { port: 3000, strictPort: true },
  preview: { port: 3000, strictPort: true },
  test: { environment: "happy-dom", include: ["src/**/*.test.{ts,tsx}"], restoreMocks: true },
}));
