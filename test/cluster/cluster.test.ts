import { test } from 'node:test'
import { judgeNodes } from './linearizability.ts'

test('three processes over one SQLite file answer as one would, through faults', { timeout: 900_000 }, (t) =>
  judgeNodes(3, (text) => t.diagnostic(text)),
)
