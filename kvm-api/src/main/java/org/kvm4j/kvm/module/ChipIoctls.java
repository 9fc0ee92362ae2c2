package org.kvm4j.kvm.module;

import static org.kvm4j.kvm.uapi.Ioctls.*;

import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.module.irqchip.InterruptChips;
import org.kvm4j.kvm.uapi.KvmIrqLevel;
import org.kvm4j.kvm.uapi.KvmIrqRouting;
import org.kvm4j.kvm.uapi.KvmIrqRoutingEntry;
import org.kvm4j.kvm.uapi.KvmIrqchip;
import org.kvm4j.kvm.uapi.KvmIrqfd;
import org.kvm4j.kvm.uapi.KvmMsi;
import org.kvm4j.kvm.uapi.KvmPitConfig;
import org.kvm4j.kvm.uapi.KvmPitState;
import org.kvm4j.kvm.uapi.KvmPitState2;
import org.kvm4j.kvm.uapi.KvmReinjectControl;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * The VM ioctls of interrupt chips and timers, and what there is of them. Source: Linux 6.1
 * kvm_arch_vm_ioctl, kvm_vm_ioctl.
 */
final class ChipIoctls implements AutoCloseable {
  /** MAX_NR_RESERVED_IOAPIC_PINS. */
  private static final long MAX_SPLIT_PINS = Uapi.KVM_IOAPIC_NUM_PINS;

  private final UserSpace user;
  private final VmTime time;
  private volatile @Nullable InterruptChips chips;

  /** KVM_CAP_X2APIC_API, which may come before the chips. */
  private boolean wideIds;

  private boolean noBroadcastQuirk;
  private final IrqFds irqfds;

  ChipIoctls(EmulatedKernel kernel, VmTime time) {
    this.user = kernel.user();
    this.time = time;
    this.irqfds = new IrqFds(kernel, this::chips);
  }

  /** The chips, once there are any. */
  @Nullable InterruptChips chips() {
    return chips;
  }

  /** Whether an ioctl is one of these. */
  static boolean has(int request) {
    return switch (request) {
      case KVM_IRQ_LINE,
          KVM_IRQ_LINE_STATUS,
          KVM_GET_IRQCHIP,
          KVM_SET_IRQCHIP,
          KVM_CREATE_PIT,
          KVM_CREATE_PIT2,
          KVM_GET_PIT,
          KVM_SET_PIT,
          KVM_GET_PIT2,
          KVM_SET_PIT2,
          KVM_REINJECT_CONTROL,
          KVM_SIGNAL_MSI,
          KVM_IRQFD,
          KVM_SET_GSI_ROUTING ->
          true;
      default -> false;
    };
  }

  int ioctl(int request, long argument) {
    return switch (request) {
      case KVM_IRQ_LINE -> line(argument, false);
      case KVM_IRQ_LINE_STATUS -> line(argument, true);
      case KVM_GET_IRQCHIP -> getChip(argument);
      case KVM_SET_IRQCHIP -> setChip(argument);
      case KVM_CREATE_PIT -> createPit(Uapi.KVM_PIT_SPEAKER_DUMMY);
      case KVM_CREATE_PIT2 -> {
        ByteBuffer a = user.copyIn(argument, KvmPitConfig.SIZEOF);
        yield a == null ? Results.EFAULT : createPit(a.getInt(KvmPitConfig.FLAGS));
      }
      case KVM_GET_PIT -> getPit(argument, KvmPitState.SIZEOF);
      case KVM_SET_PIT -> setPit(argument, KvmPitState.SIZEOF);
      case KVM_GET_PIT2 -> getPit(argument, KvmPitState2.SIZEOF);
      case KVM_SET_PIT2 -> setPit(argument, KvmPitState2.SIZEOF);
      case KVM_REINJECT_CONTROL -> reinject(argument);
      case KVM_SIGNAL_MSI -> signal(argument);
      case KVM_IRQFD -> {
        ByteBuffer a = user.copyIn(argument, KvmIrqfd.SIZEOF);
        yield a == null ? Results.EFAULT : irqfds.irqfd(a);
      }
      case KVM_SET_GSI_ROUTING -> setRouting(argument);
      default -> Results.ENOTTY;
    };
  }

  // ---- making them ----

  /**
   * KVM_CREATE_IRQCHIP.
   *
   * @param late whether there is a virtual CPU already
   */
  int create(boolean late) {
    if (chips != null) {
      return Results.EEXIST;
    }
    if (late) {
      return Results.EINVAL;
    }
    use(InterruptChips.whole(time.timers));
    return 0;
  }

  /** KVM_CAP_SPLIT_IRQCHIP. */
  int split(long pins, boolean late) {
    if (Long.compareUnsigned(pins, MAX_SPLIT_PINS) > 0) {
      return Results.EINVAL;
    }
    if (chips != null || late) {
      return Results.EEXIST;
    }
    use(InterruptChips.split(time.timers, (int) pins));
    return 0;
  }

  private synchronized void use(InterruptChips made) {
    made.setX2apicApi(wideIds, noBroadcastQuirk);
    time.useTimers(made::expireTimers);
    chips = made;
  }

  /** KVM_CAP_X2APIC_API: each of the two can only be switched on. */
  synchronized void setX2apicApi(boolean wide, boolean noQuirk) {
    wideIds |= wide;
    noBroadcastQuirk |= noQuirk;
    InterruptChips c = chips;
    if (c != null) {
      c.setX2apicApi(wide, noQuirk);
    }
  }

  private int createPit(int flags) {
    InterruptChips c = chips;
    // As measured on a host; Linux 6.1 makes a timer that interrupts nobody.
    if (c == null || c.isSplit()) {
      return Results.ENOENT;
    }
    return c.createPit((flags & Uapi.KVM_PIT_SPEAKER_DUMMY) != 0) ? 0 : Results.EEXIST;
  }

  // ---- lines and messages ----

  private int line(long argument, boolean status) {
    ByteBuffer a = user.copyIn(argument, KvmIrqLevel.SIZEOF);
    if (a == null) {
      return Results.EFAULT;
    }
    InterruptChips c = chips;
    if (c == null) {
      return Results.ENXIO;
    }
    int gsi = a.getInt(KvmIrqLevel.IRQ);
    boolean level = a.getInt(KvmIrqLevel.LEVEL) != 0;
    int result = c.setLine(InterruptChips.USER, gsi, level, status);
    if (status) {
      a.putInt(KvmIrqLevel.STATUS, result);
      return user.copyOut(argument, a) ? 0 : Results.EFAULT;
    }
    return 0;
  }

  private int signal(long argument) {
    ByteBuffer a = user.copyIn(argument, KvmMsi.SIZEOF);
    if (a == null) {
      return Results.EFAULT;
    }
    InterruptChips c = chips;
    int high = a.getInt(KvmMsi.ADDRESS_HI);
    if (c == null
        || (a.getInt(KvmMsi.FLAGS) & ~Uapi.KVM_MSI_VALID_DEVID) != 0
        || c.isInvalidAddress(high)) {
      return Results.EINVAL;
    }
    int n = c.signal(a.getInt(KvmMsi.ADDRESS_LO), high, a.getInt(KvmMsi.DATA));
    return n < 0 ? Results.EPERM : n;
  }

  private int setRouting(long argument) {
    ByteBuffer head = user.copyIn(argument, KvmIrqRouting.SIZEOF);
    if (head == null) {
      return Results.EFAULT;
    }
    InterruptChips c = chips;
    int n = head.getInt(KvmIrqRouting.NR);
    if (c == null
        || Integer.compareUnsigned(n, Uapi.KVM_MAX_IRQ_ROUTES) > 0
        || head.getInt(KvmIrqRouting.FLAGS) != 0) {
      return Results.EINVAL;
    }
    ByteBuffer entries =
        user.copyIn(argument + KvmIrqRouting.ENTRIES, n * KvmIrqRoutingEntry.SIZEOF);
    if (entries == null) {
      return Results.EFAULT;
    }
    return c.setRoutes(entries, n) ? 0 : Results.EINVAL;
  }

  // ---- states ----

  private int getChip(long argument) {
    ByteBuffer a = user.copyIn(argument, KvmIrqchip.SIZEOF);
    if (a == null) {
      return Results.EFAULT;
    }
    InterruptChips c = chips;
    if (c == null || c.isSplit()) {
      return Results.ENXIO;
    }
    int chip = a.getInt(KvmIrqchip.CHIP_ID);
    if (Integer.compareUnsigned(chip, Uapi.KVM_NR_IRQCHIPS) >= 0) {
      return Results.EINVAL;
    }
    c.save(chip, a, KvmIrqchip.CHIP_DUMMY);
    return user.copyOut(argument, a) ? 0 : Results.EFAULT;
  }

  private int setChip(long argument) {
    ByteBuffer a = user.copyIn(argument, KvmIrqchip.SIZEOF);
    if (a == null) {
      return Results.EFAULT;
    }
    InterruptChips c = chips;
    if (c == null || c.isSplit()) {
      return Results.ENXIO;
    }
    int chip = a.getInt(KvmIrqchip.CHIP_ID);
    if (Integer.compareUnsigned(chip, Uapi.KVM_NR_IRQCHIPS) >= 0) {
      return Results.EINVAL;
    }
    c.load(chip, a, KvmIrqchip.CHIP_DUMMY);
    return 0;
  }

  /**
   * @param size of struct kvm_pit_state2, or of kvm_pit_state, which is its start
   */
  private int getPit(long argument, int size) {
    InterruptChips c = chips;
    if (c == null || !c.hasPit()) {
      return Results.ENXIO;
    }
    ByteBuffer b = UserSpace.struct(KvmPitState2.SIZEOF);
    b.putInt(KvmPitState2.FLAGS, c.savePit(b, 0));
    return user.copyOut(argument, b.slice(0, size)) ? 0 : Results.EFAULT;
  }

  private int setPit(long argument, int size) {
    ByteBuffer a = user.copyIn(argument, size);
    if (a == null) {
      return Results.EFAULT;
    }
    InterruptChips c = chips;
    if (c == null || !c.hasPit()) {
      return Results.ENXIO;
    }
    c.loadPit(a, 0, size == KvmPitState2.SIZEOF ? a.getInt(KvmPitState2.FLAGS) : null);
    return 0;
  }

  private int reinject(long argument) {
    ByteBuffer a = user.copyIn(argument, KvmReinjectControl.SIZEOF);
    if (a == null) {
      return Results.EFAULT;
    }
    InterruptChips c = chips;
    if (c == null || !c.hasPit()) {
      return Results.ENXIO;
    }
    c.setReinject(a.get(KvmReinjectControl.PIT_REINJECT) != 0);
    return 0;
  }

  /** The VM is gone. */
  @Override
  public void close() {
    irqfds.close();
  }
}
