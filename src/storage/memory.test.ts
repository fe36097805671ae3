import { storageContract } from './contract.ts'
import { memoryStorage } from './memory.ts'

storageContract('memory', async (options) => {
  const storage = memoryStorage(options)
  return { storage, visited: () => storage.rowsVisited(), close: () => storage.close() }
})
