export default {
  testMatch: '*.spec.mjs',
  use: {
    // The certificate is issued by your local CA. Not needed after `portal trust --install`.
    ignoreHTTPSErrors: true,
    launchOptions: process.env.CHROMIUM ? { executablePath: process.env.CHROMIUM } : {},
  },
};
