package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.abort;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.kvm4j.conformance.kvm.ReferenceTable.Row;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.uapi.Ioctls;
import org.kvm4j.kvm.uapi.KvmIoctl;
import org.kvm4j.kvm.uapi.KvmIoctl.FdKind;

/**
 * Every row of the table of measured results, made again as a raw ioctl on each kernel. Each case
 * sets up what its row needs on a VM of its own. A row without a case, and a case without a row,
 * fail.
 */
class ErrnoReplayTests extends KvmContract {

  /** Rows in which the measured host departs from KVM's rules, and what they give by the rules. */
  private static final Map<String, String> BY_RULE = Map.of("SET_CPUID2 after KVM_RUN (same)", "0");

  /** The rows come from a machine of this kind: it has AVX, for one. */
  private static final String LIKE_THE_MEASURED = "genoa";

  static Stream<Arguments> rows() {
    List<Arguments> arguments = new ArrayList<>();
    Backends.all()
        .forEach(
            backend ->
                ReferenceTable.rows("errnos-measured.tsv")
                    .forEach(row -> arguments.add(Arguments.of(backend, row))));
    return arguments.stream();
  }

  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("rows")
  void theResultIsTheMeasuredOne(Backend over, Row row) {
    open(over, LIKE_THE_MEASURED);
    ErrnoCases.Case replay = ErrnoCases.all().get(row.get("case"));
    if (replay == null) {
      throw new AssertionError("no case for the row \"" + row.get("case") + '"');
    }
    long result = replay.action().run(new ErrnoReplay(kernel));
    String measured =
        over.isEmulated()
            ? BY_RULE.getOrDefault(row.get("case"), row.get("result"))
            : row.get("result");
    String outcome = outcome(measured, result);
    if (!outcome.equals(measured)) {
      notBuilt(replay, result).ifPresent(reason -> abort(over.name() + ": " + reason));
    }
    assertEquals(measured, outcome);
  }

  /** The result in the table's words. */
  private static String outcome(String measured, long result) {
    if (result < 0 && result >= -4095) {
      return (measured.startsWith("-1 ") || measured.matches("\\d+") ? "-1 " : "")
          + Errno.nameOf((int) result);
    }
    // Which number a new descriptor or an address has is no matter.
    return measured.equals("mapped") || measured.matches("[5-8]") ? measured : "" + result;
  }

  /**
   * The emulated kernel's ioctls are built in stages: one that is not there has a capability of 0.
   */
  private Optional<String> notBuilt(ErrnoCases.Case replay, long result) {
    KvmIoctl subject = replay.subject();
    return backend.isEmulated() && result < 0 && subject != null && isAnnouncedWithZero(subject)
        ? Optional.of(subject + " is not built yet")
        : Optional.empty();
  }

  private boolean isAnnouncedWithZero(KvmIoctl ioctl) {
    return !ioctl.capabilities().isEmpty()
        && ioctl.capabilities().stream().allMatch(cap -> kvm.checkExtension(cap) == 0);
  }

  @Test
  void everyRowHasACaseAndEveryCaseARow() {
    assertEquals(
        ReferenceTable.rows("errnos-measured.tsv").stream()
            .map(row -> row.get("case"))
            .sorted()
            .toList(),
        ErrnoCases.all().keySet().stream().sorted().toList());
  }

  // --- The rules behind them

  @EachBackend
  void anIoctlOfAnotherKindOfDescriptorIsUnknown() {
    ErrnoReplay r = new ErrnoReplay(kernel);
    List<String> wrong = new ArrayList<>();
    for (KvmIoctl ioctl : KvmIoctl.values()) {
      if (ioctl.tier() == KvmIoctl.Tier.C) {
        continue;
      }
      for (FdKind kind : List.of(FdKind.SYSTEM, FdKind.VM, FdKind.VCPU)) {
        if (ioctl.fdKinds().contains(kind)) {
          continue;
        }
        int fd = kind == FdKind.SYSTEM ? r.system : kind == FdKind.VM ? r.vm() : r.vcpu();
        int expected = (kind == FdKind.VM ? Errno.ENOTTY : Errno.EINVAL).result();
        int result = kernel.ioctl(fd, ioctl.number(), 0);
        if (result != expected) {
          wrong.add(ioctl + " on " + kind + ": " + Errno.nameOf(result));
        }
      }
    }
    assertEquals(List.of(), wrong);
  }

  /** What is announced with 0 does not work by chance. */
  @EachBackend
  void whatIsNotBuiltFails() {
    if (!backend.isEmulated()) {
      backend.limit(
          "the rule is the emulated kernel's: a real one has ioctls that it announces with 0");
    }
    ErrnoReplay r = new ErrnoReplay(kernel);
    List<String> wrong = new ArrayList<>();
    for (KvmIoctl ioctl : KvmIoctl.values()) {
      if (!isAnnouncedWithZero(ioctl)) {
        continue;
      }
      for (FdKind kind : ioctl.fdKinds()) {
        if (kind == FdKind.DEVICE) {
          continue;
        }
        int fd = kind == FdKind.SYSTEM ? r.system : kind == FdKind.VM ? r.vm() : r.vcpu();
        r.zeroed(0x2000);
        if (kernel.ioctl(fd, ioctl.number(), r.args()) >= 0) {
          wrong.add(ioctl + " on " + kind);
        }
      }
    }
    assertEquals(List.of(), wrong);
  }

  @EachBackend
  void aClosedDescriptorIsBad() {
    ErrnoReplay r = new ErrnoReplay(kernel);
    int vcpu = r.vcpu();
    kernel.close(vcpu);
    assertEquals(Errno.EBADF.result(), kernel.ioctl(vcpu, Ioctls.KVM_GET_REGS, r.args()));
    assertEquals(Errno.EBADF.result(), kernel.close(vcpu));
    assertEquals(Errno.ENOENT.result(), kernel.open("/dev/no-such-device", Kernel.O_RDWR));
  }
}
