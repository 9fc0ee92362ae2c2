package org.kvm4j.vmm.cli;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import org.junit.jupiter.api.Test;

class VersionTests {
  @Test
  void nameTheVersionThatTheBuildGave() throws IOException {
    String first = new Version().getVersion()[0];
    assertTrue(first.matches("kvm4j \\d+\\.\\d+\\.\\d+(-SNAPSHOT)?"), first);
  }
}
