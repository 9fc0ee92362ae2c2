package org.kvm4j.vmm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.syscall.KernelProvider;

final class HeadStartTests {
  @ParameterizedTest
  @ValueSource(
      strings = {"run --kernel k", "run --backend emulated --kernel k", "run --bare-metal k"})
  void a_run_on_the_emulated_kernel_has_one(String line) {
    assertTrue(HeadStart.isWorth(line.split(" ")));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"demo", "run", "doctor run", "run --backend native k", "run --backend=native k"})
  void nothing_else_has(String line) {
    assertFalse(HeadStart.isWorth(line.split(" ")));
  }

  @Test
  void the_kernels_are_the_same_after_it() {
    HeadStart.begin(new String[] {"run", "--kernel", "k"});
    assertEquals(
        Kernels.providers().stream().map(KernelProvider::name).toList(),
        HeadStart.providers().stream().map(KernelProvider::name).toList());
    assertFalse(
        Thread.getAllStackTraces().keySet().stream()
            .anyMatch(t -> t.getName().equals(HeadStart.NAME)));
  }
}
