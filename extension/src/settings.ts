import type { ISettingRegistry } from '@jupyterlab/settingregistry';

import type { GuardModel } from './model';
import { PLUGIN_ID } from './tokens';

/** Applies the user's settings now and whenever they change; without them the defaults stay. */
export async function applySettings(
  model: GuardModel,
  registry: ISettingRegistry | null
): Promise<void> {
  if (!registry) {
    return;
  }
  let settings: ISettingRegistry.ISettings;
  try {
    settings = await registry.load(PLUGIN_ID);
  } catch (error) {
    console.warn('The settings of Cloister could not be read; the defaults are used.', error);
    return;
  }
  const apply = (): void => {
    const { pageSize, verifyAutomatically } = settings.composite;
    if (typeof pageSize === 'number') {
      model.pageSize = pageSize;
    }
    if (typeof verifyAutomatically === 'boolean') {
      model.verifiesAutomatically = verifyAutomatically;
    }
  };
  settings.changed.connect(apply);
  apply();
}
