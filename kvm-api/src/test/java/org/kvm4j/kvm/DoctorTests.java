package org.kvm4j.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kvm4j.kvm.doctor.BackendReport;
import org.kvm4j.kvm.doctor.CapabilityValue;
import org.kvm4j.kvm.doctor.Doctor;
import org.kvm4j.kvm.doctor.GuestMode;
import org.kvm4j.kvm.doctor.ModeResult;
import org.kvm4j.kvm.doctor.Outcome;
import org.kvm4j.kvm.doctor.Report;
import org.kvm4j.kvm.doctor.Verdict;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelProvider;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.Ioctls;
import org.kvm4j.kvm.uapi.KvmRun;

@Timeout(60)
class DoctorTests {
  private static final int[] SUMS = {
    0x2345, 0x23456789, 0x23456789, 0x23456789, 0x22334455, 0x22334455, 0x22334455
  };

  /** A kernel whose guests do what a test says. */
  private static class ScriptedKernel extends FakeKernel {
    @Nullable UserMemory runPage;
    int machines = -1; // the first VM is the one whose capabilities are asked
    boolean wasClosed;

    ScriptedKernel() {
      on(
          Ioctls.KVM_CREATE_VM,
          (fd, argument) -> {
            machines++;
            return newFd();
          });
      on(Ioctls.KVM_RUN, (fd, argument) -> rightExit());
    }

    UserMemory page() {
      return Objects.requireNonNull(runPage);
    }

    int rightExit() {
      return out(SUMS[machines - 1]);
    }

    int out(int value) {
      UserMemory page = page();
      page.putInt(KvmRun.EXIT_REASON, Exits.KVM_EXIT_IO);
      page.putByte(KvmRun.IO_DIRECTION, (byte) 1);
      page.putByte(KvmRun.IO_SIZE, (byte) (machines == 1 ? 2 : 4));
      page.putShort(KvmRun.IO_PORT, (short) 0x10);
      page.putInt(KvmRun.IO_COUNT, 1);
      page.putLong(KvmRun.IO_DATA_OFFSET, 0x1000);
      page.putInt(0x1000, value);
      return 0;
    }

    @Override
    public synchronized long mmap(long length, int protection, int flags, int fd, long offset) {
      long address = super.mmap(length, protection, flags, fd, offset);
      if (fd >= 0) {
        runPage = memory(address, length);
      }
      return address;
    }

    @Override
    public void close() {
      wasClosed = true;
    }
  }

  private static final Duration LIMIT = Duration.ofMillis(300);

  private static BackendReport examine(Kernel kernel) {
    return examine(LIMIT, kernel);
  }

  private static BackendReport examine(Duration limit, Kernel kernel) {
    return examine(limit, "native", Optional.empty(), () -> kernel).backends().get(0);
  }

  private static Report examine(
      String name, Optional<KernelProvider.Unavailable> unavailable, Supplier<Kernel> kernel) {
    return examine(LIMIT, name, unavailable, kernel);
  }

  private static Report examine(
      Duration limit,
      String name,
      Optional<KernelProvider.Unavailable> unavailable,
      Supplier<Kernel> kernel) {
    KernelProvider provider =
        new KernelProvider() {
          @Override
          public String name() {
            return name;
          }

          @Override
          public Optional<Unavailable> unavailable() {
            return unavailable;
          }

          @Override
          public Kernel open() {
            return kernel.get();
          }
        };
    return new Doctor(limit).examine(List.of(provider));
  }

  private static ModeResult mode(BackendReport report, GuestMode mode) {
    return report.modes().stream().filter(m -> m.mode() == mode).findFirst().orElseThrow();
  }

  @Test
  void a_kernel_that_runs_every_guest_is_good() {
    ScriptedKernel kernel = new ScriptedKernel();
    kernel.capabilities.put(Caps.KVM_CAP_NR_VCPUS, 7);
    BackendReport report = examine(kernel);
    assertEquals(Verdict.GOOD, report.verdict());
    assertEquals("", report.reason());
    assertEquals(12, report.apiVersion());
    assertEquals(List.of(GuestMode.values()), report.modes().stream().map(m -> m.mode()).toList());
    assertTrue(report.modes().stream().allMatch(m -> m.outcome() == Outcome.OK));
    assertTrue(
        report
            .capabilities()
            .contains(new CapabilityValue("KVM_CAP_NR_VCPUS", Caps.KVM_CAP_NR_VCPUS, 7, 7)));
    assertTrue(kernel.wasClosed);
  }

  @Test
  void a_refusal_names_the_ioctl_and_the_error() {
    ScriptedKernel kernel = new ScriptedKernel();
    kernel.on(
        Ioctls.KVM_SET_SREGS,
        (fd, argument) -> kernel.machines == 4 ? Errno.EINVAL.result() : 0); // PAE
    BackendReport report = examine(kernel);
    assertEquals(Verdict.LIMITED, report.verdict());
    assertTrue(report.reason().contains(GuestMode.PAE.title()), report.reason());
    assertFalse(report.reason().contains(GuestMode.REAL.title()), report.reason());
    ModeResult pae = mode(report, GuestMode.PAE);
    assertEquals(Outcome.REFUSED, pae.outcome());
    assertTrue(pae.detail().startsWith("KVM_SET_SREGS: EINVAL"), pae.detail());
    assertEquals(Outcome.OK, mode(report, GuestMode.LONG_CPL0).outcome());
  }

  @Test
  void another_exit_is_named() {
    ScriptedKernel kernel = new ScriptedKernel();
    kernel.on(
        Ioctls.KVM_RUN,
        (fd, argument) -> {
          kernel.page().putInt(KvmRun.EXIT_REASON, Exits.KVM_EXIT_SHUTDOWN);
          return 0;
        });
    BackendReport report = examine(kernel);
    assertEquals(Verdict.USELESS, report.verdict());
    ModeResult real = mode(report, GuestMode.REAL);
    assertEquals(Outcome.WRONG_EXIT, real.outcome());
    assertTrue(real.detail().contains("triple fault"), real.detail());
  }

  @Test
  void the_right_exit_with_wrong_data_is_wrong() {
    ScriptedKernel kernel = new ScriptedKernel();
    kernel.on(Ioctls.KVM_RUN, (fd, argument) -> kernel.out(0x1111));
    ModeResult real = mode(examine(kernel), GuestMode.REAL);
    assertEquals(Outcome.WRONG_EXIT, real.outcome());
    assertEquals("OUT of 0x1111, which should be 0x2345, at rip 0x0", real.detail());
  }

  @Test
  void a_guest_that_hangs_is_kicked() {
    CountDownLatch kicked = new CountDownLatch(1);
    ScriptedKernel kernel =
        new ScriptedKernel() {
          @Override
          public int kick(int threadId) {
            kicked.countDown();
            return 0;
          }
        };
    kernel.on(
        Ioctls.KVM_RUN,
        (fd, argument) -> {
          if (kernel.machines != 1) {
            return kernel.rightExit();
          }
          await(kicked);
          return Errno.EINTR.result();
        });
    BackendReport report = examine(kernel);
    assertEquals(Outcome.HANG, mode(report, GuestMode.REAL).outcome());
    assertEquals(Outcome.OK, mode(report, GuestMode.PROTECTED).outcome());
    assertTrue(kernel.wasClosed);
  }

  @Test
  void a_guest_that_runs_without_end_is_kicked_when_it_has_run_for_its_time() {
    AtomicBoolean kicked = new AtomicBoolean();
    ScriptedKernel kernel =
        new ScriptedKernel() {
          @Override
          public int kick(int threadId) {
            kicked.set(true);
            return 0;
          }
        };
    kernel.on(
        Ioctls.KVM_RUN,
        (fd, argument) -> {
          if (kernel.machines != 2) {
            return kernel.rightExit();
          }
          while (!kicked.get()) {
            Thread.onSpinWait();
          }
          return Errno.EINTR.result();
        });
    BackendReport report = examine(kernel);
    assertEquals(Outcome.HANG, mode(report, GuestMode.PROTECTED).outcome());
    assertEquals(Outcome.OK, mode(report, GuestMode.REAL).outcome());
  }

  @Test
  void a_guest_that_does_not_get_to_run_has_more_time() {
    ScriptedKernel kernel = new ScriptedKernel();
    kernel.on(
        Ioctls.KVM_RUN,
        (fd, argument) -> {
          if (kernel.machines == 1) {
            await(new CountDownLatch(1), 1500);
          }
          return kernel.rightExit();
        });
    BackendReport report = examine(Duration.ofSeconds(1), kernel);
    assertEquals(Outcome.OK, mode(report, GuestMode.REAL).outcome());
  }

  @Test
  void a_guest_that_no_kick_ends_is_given_up_and_its_kernel_left_open() {
    CountDownLatch never = new CountDownLatch(1);
    ScriptedKernel kernel = new ScriptedKernel();
    kernel.on(
        Ioctls.KVM_RUN,
        (fd, argument) -> {
          if (kernel.machines == 7) { // the last one
            await(never);
          }
          return kernel.rightExit();
        });
    BackendReport report = examine(kernel);
    assertEquals(Outcome.STUCK, mode(report, GuestMode.LONG_CPL3).outcome());
    assertEquals(Verdict.LIMITED, report.verdict());
    assertFalse(kernel.wasClosed);
    never.countDown();
  }

  @Test
  void a_kernel_that_fails_with_an_exception_is_reported() {
    ScriptedKernel kernel = new ScriptedKernel();
    kernel.on(
        Ioctls.KVM_RUN,
        (fd, argument) -> {
          throw new ArithmeticException("a bug");
        });
    ModeResult real = mode(examine(kernel), GuestMode.REAL);
    assertEquals(Outcome.REFUSED, real.outcome());
    assertTrue(real.detail().contains("a bug"), real.detail());
  }

  @Test
  void a_device_that_cannot_be_opened_is_useless() {
    FakeKernel kernel = new FakeKernel();
    kernel.openResult = Errno.EACCES.result();
    BackendReport report = examine(kernel);
    assertEquals(Verdict.USELESS, report.verdict());
    assertTrue(report.reason().contains("EACCES"), report.reason());
  }

  @Test
  void what_is_not_available_says_why_and_what_to_do() {
    Report report =
        examine(
            "native",
            Optional.of(new KernelProvider.Unavailable("there is no /dev/kvm", "make one")),
            FakeKernel::new);
    BackendReport backend = report.backends().get(0);
    assertEquals(Verdict.UNAVAILABLE, backend.verdict());
    assertEquals("there is no /dev/kvm", backend.reason());
    assertEquals("make one", backend.remedy());
    assertFalse(report.anyRunsGuests());
  }

  @Test
  void a_provider_that_fails_to_open_is_reported() {
    BackendReport backend =
        examine(
                "native",
                Optional.empty(),
                () -> {
                  throw new IllegalStateException("no signal is left");
                })
            .backends()
            .get(0);
    assertEquals(Verdict.UNAVAILABLE, backend.verdict());
    assertTrue(backend.reason().contains("no signal is left"), backend.reason());
  }

  private static void await(CountDownLatch latch, int millis) {
    try {
      latch.await(millis, TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
