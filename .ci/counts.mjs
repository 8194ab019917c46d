import { writeFileSync } from 'node:fs';

/** Tells `.ci/run` what jest counted: "PASSED FAILED" in the file that it names. A file that did not even run is a failure. */
export default class Counts {
  onRunComplete(_contexts, results) {
    const path = process.env.TSC_TEST_COUNTS;
    if (path === undefined || path === '') return;
    writeFileSync(path, `${results.numPassedTests} ${results.numFailedTests + results.numRuntimeErrorTestSuites}\n`);
  }
}
