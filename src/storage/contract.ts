// The suite every implementation of `Storage` must pass. A promise of storage.ts that is not shown here does not
// count; nothing here may know which implementation it has before it.
import { afterEach, beforeEach, describe } from 'node:test'
import { contractOfConcurrency } from './contract-concurrency.ts'
import { contractOfExport } from './contract-export.ts'
import { contractOfFacts } from './contract-facts.ts'
import type { Open, Opened, Subject } from './contract-kit.ts'
import { contractOfLimits } from './contract-limits.ts'
import { contractOfRanges } from './contract-ranges.ts'
import { contractOfWrites } from './contract-writes.ts'

export type { Open, Opened, Subject } from './contract-kit.ts'

/** Registers the suite with node:test. Each test gets a store of its own. */
export function storageContract(name: string, open: Open): void {
  describe(`storage contract: ${name}`, () => {
    let opened: Opened
    beforeEach(async () => {
      opened = await open({})
    })
    afterEach(() => opened.close())
    const subject: Subject = () => opened
    contractOfWrites(subject)
    contractOfFacts(subject, open)
    contractOfConcurrency(subject)
    contractOfRanges(subject)
    contractOfLimits(subject)
    contractOfExport(subject)
  })
}
