import { ask } from './client.js';
import { RiskClusterPathsDocument } from './generated/graphql.js';

/** paths lists who reaches what in a cluster, a line each. */
export async function paths(url: string, token: string, key: string): Promise<string[]> {
  const { organization } = await ask(url, token, RiskClusterPathsDocument, { key });
  // @ts-expect-error: the document does not ask for it, so the types do not have it
  void organization?.riskCluster?.pathCount;
  // @ts-expect-error: a key is a text
  const wrong: Parameters<typeof ask<unknown, { key: string }>>[3] = { key: 1 };
  void wrong;
  return (organization?.riskCluster?.authorityPaths.nodes ?? []).map(
    ({ workload, destination, sensitivity }) => `${workload.name} -> ${destination.name} (${sensitivity})`,
  );
}
