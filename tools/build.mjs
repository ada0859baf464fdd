/** `npm run build`: makes dist/ and the native addon. */
import { build, checkPlatform, install, runMain } from './setup.mjs';

await runMain(async () => {
  checkPlatform();
  await install();
  await build();
});
