package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.kvm4j.kvm.Device;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.uapi.KvmIoctl;
import org.kvm4j.kvm.uapi.KvmIoctl.FdKind;
import org.kvm4j.kvm.uapi.KvmIoctl.Tier;

/** Every ioctl of tiers A and B has a method on the handle of each descriptor that takes it. */
class HandleCoverageTests {

  /** Where the method's name is not the ioctl's. */
  private static final Map<String, String> NAMES =
      Map.of(
          "x86GetMceCapSupported", "getMceCapSupported",
          "x86SetupMce", "setupMce",
          "x86SetMce", "setMce",
          "x86SetMsrFilter", "setMsrFilter",
          "getStatsFd", "readStatistics",
          "getVcpuEvents", "getVcpuEvents",
          "getDebugregs", "getDebugRegs",
          "setDebugregs", "setDebugRegs");

  private static Class<?> handle(FdKind kind) {
    switch (kind) {
      case SYSTEM:
        return Kvm.class;
      case VM:
        return Vm.class;
      case VCPU:
        return Vcpu.class;
      case DEVICE:
        return Device.class;
    }
    throw new AssertionError(kind);
  }

  @ParameterizedTest
  @EnumSource(KvmIoctl.class)
  void ioctlHasAMethod(KvmIoctl ioctl) {
    if (ioctl.tier() == Tier.C || ioctl == KvmIoctl.KVM_SET_USER_MEMORY_REGION2) {
      return;
    }
    for (FdKind kind : ioctl.fdKinds()) {
      if (kind == FdKind.VM && ioctl.name().endsWith("_DEVICE_ATTR")) {
        continue; // Not on x86.
      }
      String camel = camel(ioctl.name().substring("KVM_".length()));
      String name = NAMES.getOrDefault(camel, camel);
      String method = kind == FdKind.DEVICE ? name.replace("DeviceAttr", "Attr") : name;
      assertTrue(
          Arrays.stream(handle(kind).getMethods()).anyMatch(m -> m.getName().equals(method)),
          () -> handle(kind).getSimpleName() + " has no " + method);
    }
  }

  private static String camel(String name) {
    StringBuilder text = new StringBuilder();
    for (String part : name.toLowerCase(Locale.ROOT).split("_", -1)) {
      text.append(
          text.length() == 0 ? part : Character.toUpperCase(part.charAt(0)) + part.substring(1));
    }
    return text.toString();
  }
}
