package org.kvm4j.kvm.doctor;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelProvider;
import org.kvm4j.kvm.syscall.KernelProvider.Unavailable;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.KvmCap;

/** Examines backends. */
public final class Doctor {
  private static final String REPORT =
      "report this as a bug: the emulated CPU should run all of them";

  private final Duration limit;

  /**
   * @param limit how long each tiny guest may take before it is kicked; it needs some milliseconds
   */
  public Doctor(Duration limit) {
    this.limit = limit;
  }

  /** Examines each of these backends on this machine. */
  public Report examine(List<KernelProvider> providers) {
    Machine machine = Machine.look();
    return new Report(machine.facts(), providers.stream().map(p -> examine(p, machine)).toList());
  }

  /** Whether guests run in one mode on a kernel that is open. */
  public ModeResult examine(Kernel kernel, GuestMode mode) {
    return ModeProbe.run(kernel, mode, limit);
  }

  private BackendReport examine(KernelProvider provider, Machine machine) {
    Optional<Unavailable> unavailable = provider.unavailable();
    if (unavailable.isPresent()) {
      return notUsable(
          provider, Verdict.UNAVAILABLE, unavailable.get().reason(), unavailable.get().remedy());
    }
    Kernel kernel;
    try {
      kernel = provider.open();
    } catch (RuntimeException | LinkageError e) {
      return notUsable(
          provider, Verdict.UNAVAILABLE, "it cannot be opened: " + message(e), "report this");
    }
    boolean stuck = false;
    try {
      List<CapabilityValue> capabilities;
      int version;
      int mapping;
      try (Kvm kvm = Kvm.open(kernel)) {
        version = kvm.getApiVersion();
        mapping = kvm.getVcpuMmapSize();
        capabilities = capabilities(kvm);
      }
      List<ModeResult> modes = new ArrayList<>();
      for (GuestMode mode : GuestMode.values()) {
        modes.add(ModeProbe.run(kernel, mode, limit));
      }
      stuck = modes.stream().anyMatch(m -> m.outcome() == Outcome.STUCK);
      return judge(provider.name(), machine, version, mapping, capabilities, modes);
    } catch (RuntimeException e) {
      return notUsable(
          provider,
          Verdict.USELESS,
          "/dev/kvm opens, but does not work: " + message(e),
          "see dmesg");
    } finally {
      if (!stuck) {
        kernel.close();
      }
    }
  }

  private static BackendReport notUsable(
      KernelProvider provider, Verdict verdict, String reason, String remedy) {
    return new BackendReport(provider.name(), verdict, reason, remedy, 0, 0, List.of(), List.of());
  }

  private static String message(Throwable e) {
    return e.getMessage() == null ? e.toString() : e.getMessage();
  }

  private static List<CapabilityValue> capabilities(Kvm kvm) {
    List<CapabilityValue> values = new ArrayList<>();
    try (Vm vm = kvm.createVm()) {
      boolean askVm = kvm.checkExtension(Caps.KVM_CAP_CHECK_EXTENSION_VM) != 0;
      for (KvmCap cap : KvmCap.values()) {
        int value = kvm.checkExtension(cap);
        values.add(
            new CapabilityValue(
                cap.name(), cap.number(), value, askVm ? vm.checkExtension(cap) : value));
      }
    } catch (KvmException e) {
      values.clear();
      for (KvmCap cap : KvmCap.values()) {
        int value = kvm.checkExtension(cap);
        values.add(new CapabilityValue(cap.name(), cap.number(), value, value));
      }
    }
    return values;
  }

  private static BackendReport judge(
      String name,
      Machine machine,
      int version,
      int mapping,
      List<CapabilityValue> capabilities,
      List<ModeResult> modes) {
    List<ModeResult> failed = modes.stream().filter(m -> m.outcome() != Outcome.OK).toList();
    Verdict verdict =
        failed.isEmpty()
            ? Verdict.GOOD
            : failed.size() == modes.size() ? Verdict.USELESS : Verdict.LIMITED;
    boolean nativeKernel = name.equals("native");
    String reason = "";
    String remedy = "";
    if (verdict == Verdict.LIMITED) {
      reason =
          "guests do not run in: "
              + failed.stream().map(m -> m.mode().title()).collect(Collectors.joining("; "));
      if (nativeKernel && !machine.hardwareVirtualization()) {
        reason +=
            ". The CPU shows neither VT-x nor AMD-V, so this kernel does without: it emulates what a"
                + " guest does at CPL 0, slowly and not all of it";
      }
      remedy =
          nativeKernel
              ? "use the emulated backend for guests that need these, or a machine whose CPU shows VT-x"
                  + " or AMD-V"
              : REPORT;
    } else if (verdict == Verdict.USELESS) {
      reason = "no tiny guest ran, in any mode";
      remedy =
          nativeKernel
              ? "see dmesg for what the kernel says; on a virtual machine, nested virtualization may"
                  + " be off or broken; or use the emulated backend"
              : REPORT;
    }
    return new BackendReport(name, verdict, reason, remedy, version, mapping, capabilities, modes);
  }
}
