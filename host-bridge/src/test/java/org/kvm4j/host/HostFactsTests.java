package org.kvm4j.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.KernelProvider.Unavailable;

class HostFactsTests {
  private static final class Facts {
    String os = "Linux";
    String arch = "amd64";
    @Nullable String loadError;
    boolean exists = true;
    int openError;
    int version = 12;
    Set<String> cpuFlags = Set.of("fpu", "vmx");
    boolean container;
    String group = "kvm";
    boolean groupMayUse = true;

    Optional<Unavailable> obstacle() {
      return new HostFacts(
              os,
              arch,
              loadError,
              exists,
              openError,
              version,
              cpuFlags,
              container,
              group,
              groupMayUse,
              "ada")
          .obstacle();
    }

    void gives(String reason, String remedy) {
      Unavailable u = obstacle().orElseThrow();
      assertTrue(u.reason().contains(reason), u.reason());
      assertTrue(u.remedy().contains(remedy), u.remedy());
      assertEquals(1, u.reason().lines().count());
      assertEquals(1, u.remedy().lines().count());
    }
  }

  private final Facts facts = new Facts();

  @Test
  void all_well() {
    assertEquals(Optional.empty(), facts.obstacle());
  }

  @Test
  void another_system() {
    facts.os = "Mac OS X";
    facts.arch = "aarch64";
    facts.gives("Mac OS X on aarch64", "emulated");
  }

  @Test
  void another_architecture() {
    facts.arch = "aarch64";
    facts.gives("needs Linux on x86-64", "emulated");
  }

  @Test
  void no_device_on_Intel() {
    facts.exists = false;
    facts.gives("there is no /dev/kvm", "modprobe kvm_intel");
  }

  @Test
  void no_device_on_AMD() {
    facts.exists = false;
    facts.cpuFlags = Set.of("svm");
    facts.gives("there is no /dev/kvm", "modprobe kvm_amd");
  }

  @Test
  void no_device_in_a_container() {
    facts.exists = false;
    facts.container = true;
    facts.gives("there is no /dev/kvm", "--device /dev/kvm");
  }

  @Test
  void no_virtualization_in_a_virtual_machine() {
    facts.exists = false;
    facts.cpuFlags = Set.of("hypervisor");
    facts.gives("there is no /dev/kvm", "nested virtualization");
  }

  @Test
  void virtualization_off_in_firmware() {
    facts.exists = false;
    facts.cpuFlags = Set.of();
    facts.gives("there is no /dev/kvm", "firmware");
  }

  @Test
  void a_node_without_a_module() {
    facts.openError = Errno.ENODEV.result();
    facts.gives("no kernel module", "modprobe kvm_intel");
  }

  @Test
  void a_user_outside_the_group() {
    facts.openError = Errno.EACCES.result();
    facts.gives("its group is kvm", "sudo usermod -aG kvm ada");
  }

  @Test
  void a_device_for_root_alone() {
    facts.openError = Errno.EACCES.result();
    facts.group = "root";
    facts.gives("nor by a group", "chgrp kvm /dev/kvm");
  }

  @Test
  void device_rules() {
    facts.openError = Errno.EPERM.result();
    facts.gives("EPERM", "--device /dev/kvm");
  }

  @Test
  void some_other_error() {
    facts.openError = Errno.EMFILE.result();
    facts.gives("EMFILE", "dmesg");
  }

  @Test
  void a_native_library_that_cannot_be_loaded() {
    facts.loadError = "/tmp/jna1.tmp: failed to map segment from shared object";
    facts.gives("failed to map segment", "jna.tmpdir");
  }

  @Test
  void another_version() {
    facts.version = 10;
    facts.gives("version 10", "kernel");
  }

  @Test
  void another_device() {
    facts.version = Errno.ENOTTY.result();
    facts.gives("ENOTTY", "ls -l /dev/kvm");
  }
}
