package org.kvm4j.vmm.cli;

import picocli.CommandLine.IVersionProvider;

/** The version that {@code --version} prints. */
final class Version implements IVersionProvider {
  @Override
  public String[] getVersion() {
    return new String[] {"kvm4j 0.1.0-SNAPSHOT"};
  }
}
