package org.kvm4j.vmm.cli;

import java.io.IOException;
import java.io.InputStream;
import java.util.Properties;
import picocli.CommandLine.IVersionProvider;

/** The version that {@code --version} prints: the build's, from {@code version.properties}. */
final class Version implements IVersionProvider {
  @Override
  public String[] getVersion() throws IOException {
    Properties properties = new Properties();
    try (InputStream in = Version.class.getResourceAsStream("version.properties")) {
      if (in != null) {
        properties.load(in);
      }
    }
    return new String[] {
      "kvm4j " + properties.getProperty("version", "(unknown version)"),
      "Java " + System.getProperty("java.vm.version") + ", " + System.getProperty("java.vm.name")
    };
  }
}
