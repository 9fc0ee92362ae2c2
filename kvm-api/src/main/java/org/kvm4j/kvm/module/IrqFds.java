package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.module.irqchip.InterruptChips;
import org.kvm4j.kvm.uapi.KvmIrqfd;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * Eventfds that raise interrupts (KVM_IRQFD), and those that are told when a level-triggered one is
 * over. Source: Linux 6.1 virt/kvm/eventfd.c.
 */
final class IrqFds implements AutoCloseable {
  private final EmulatedKernel kernel;
  private final Supplier<@Nullable InterruptChips> chipsNow;
  private final List<IrqFd> assigned = new ArrayList<>();
  private final List<Resampler> resamplers = new ArrayList<>();

  /**
   * @param chips gives the chips, once there are any
   */
  IrqFds(EmulatedKernel kernel, Supplier<@Nullable InterruptChips> chips) {
    this.kernel = kernel;
    this.chipsNow = chips;
  }

  /** One eventfd with its GSI. */
  private final class IrqFd implements EventFile.Consumer {
    private final InterruptChips chips;
    final EventFile trigger;
    final int gsi;
    final @Nullable EventFile resample;

    IrqFd(InterruptChips chips, EventFile trigger, int gsi, @Nullable EventFile resample) {
      this.chips = chips;
      this.trigger = trigger;
      this.gsi = gsi;
      this.resample = resample;
    }

    @Override
    public void signalled() {
      if (resample != null) {
        chips.setLine(InterruptChips.RESAMPLED, gsi, true, false);
      } else {
        chips.setLine(InterruptChips.USER, gsi, true, false);
        chips.setLine(InterruptChips.USER, gsi, false, false);
      }
    }

    @Override
    public void closed() {
      drop(List.of(this));
    }
  }

  /** All resampled eventfds of a GSI: the guest's acknowledgement lowers its level once. */
  private static final class Resampler {
    private final InterruptChips chips;
    final int gsi;
    final Runnable stop;
    volatile List<IrqFd> members = List.of();

    Resampler(InterruptChips chips, int gsi) {
      this.chips = chips;
      this.gsi = gsi;
      this.stop = chips.onAcknowledge(gsi, this::acknowledged);
    }

    /** The chips' lock is held: what waits for the eventfds hears of it later. */
    private void acknowledged() {
      chips.setLine(InterruptChips.RESAMPLED, gsi, false, false);
      for (IrqFd f : members) {
        EventFile resample = f.resample;
        if (resample != null) {
          chips.afterwards(resample::signal);
        }
      }
    }
  }

  /** KVM_IRQFD. */
  int irqfd(ByteBuffer a) {
    int flags = a.getInt(KvmIrqfd.FLAGS);
    if ((flags & ~(Uapi.KVM_IRQFD_FLAG_DEASSIGN | Uapi.KVM_IRQFD_FLAG_RESAMPLE)) != 0) {
      return Results.EINVAL;
    }
    boolean resample = (flags & Uapi.KVM_IRQFD_FLAG_RESAMPLE) != 0;
    boolean deassign = (flags & Uapi.KVM_IRQFD_FLAG_DEASSIGN) != 0;
    InterruptChips chips = chipsNow.get();
    if (!deassign && (chips == null || (resample && chips.isSplit()))) {
      return Results.EINVAL;
    }
    FileObject file = kernel.file(a.getInt(KvmIrqfd.FD));
    if (!(file instanceof EventFile trigger)) {
      return file == null ? Results.EBADF : Results.EINVAL;
    }
    int gsi = a.getInt(KvmIrqfd.GSI);
    if (deassign || chips == null) {
      deassign(trigger, gsi);
      return 0;
    }
    EventFile told = null;
    if (resample) {
      FileObject other = kernel.file(a.getInt(KvmIrqfd.RESAMPLEFD));
      if (!(other instanceof EventFile event)) {
        return other == null ? Results.EBADF : Results.EINVAL;
      }
      told = event;
    }
    return assign(new IrqFd(chips, trigger, gsi, told));
  }

  private int assign(IrqFd f) {
    synchronized (this) {
      for (IrqFd other : assigned) {
        if (other.trigger == f.trigger) {
          return Results.EBUSY;
        }
      }
      assigned.add(f);
      if (f.resample != null) {
        Resampler r = resampler(f);
        List<IrqFd> members = new ArrayList<>(r.members);
        members.add(f);
        r.members = List.copyOf(members);
      }
    }
    if (f.trigger.addConsumer(f)) {
      f.signalled();
    }
    return 0;
  }

  private Resampler resampler(IrqFd f) {
    for (Resampler r : resamplers) {
      if (r.gsi == f.gsi) {
        return r;
      }
    }
    Resampler r = new Resampler(f.chips, f.gsi);
    resamplers.add(r);
    return r;
  }

  private void deassign(EventFile trigger, int gsi) {
    List<IrqFd> gone = new ArrayList<>();
    synchronized (this) {
      for (IrqFd f : assigned) {
        if (f.trigger == trigger && f.gsi == gsi) {
          gone.add(f);
        }
      }
    }
    drop(gone);
  }

  private void drop(List<IrqFd> gone) {
    for (IrqFd f : gone) {
      f.trigger.removeConsumer(f);
    }
    synchronized (this) {
      assigned.removeAll(gone);
      for (Resampler r : List.copyOf(resamplers)) {
        List<IrqFd> members = new ArrayList<>(r.members);
        if (members.removeAll(gone)) {
          r.members = List.copyOf(members);
          if (members.isEmpty()) {
            resamplers.remove(r);
            r.stop.run();
            r.chips.setLine(InterruptChips.RESAMPLED, r.gsi, false, false);
          }
        }
      }
    }
  }

  /** The VM is gone. */
  @Override
  public void close() {
    List<IrqFd> all;
    synchronized (this) {
      all = List.copyOf(assigned);
    }
    drop(all);
  }
}
