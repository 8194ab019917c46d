/** Tests run on what `tsc` wrote, so they are type-checked and nothing transforms them. */
export default {
  rootDir: 'dist',
  testMatch: ['<rootDir>/test/**/*.test.js'],
  transform: {},
  testTimeout: 30_000,
  maxWorkers: 2,
  setupFiles: ['<rootDir>/test/support/suppressed.js'],
  reporters: ['default', '<rootDir>/../.ci/counts.mjs'],
};
