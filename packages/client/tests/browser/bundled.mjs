// What a page has beside the SDK, with the packages that it uses, as one script of the site.

import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { ROOT } from "./harness.mjs";

/** Puts `/<name>.js` on the site, made of the file of that name beside this one. */
export async function bundled(site, name) {
  const entry = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  const { 0: made } = [
    await build({
      root: path.join(ROOT, "packages/client"),
      configFile: false,
      logLevel: "error",
      build: {
        write: false,
        minify: false,
        rollupOptions: { output: { inlineDynamicImports: true } },
        lib: { entry, formats: ["es"], fileName: name },
      },
    }),
  ].flat();
  const { code } = made.output[0];
  site.instead.set(`/${name}.js`, (_, response) =>
    response.writeHead(200, { "content-type": "text/javascript" }).end(code),
  );
}
