package org.kvm4j.vmm;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.RunPage;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.KvmExit;
import org.kvm4j.vmm.device.PortBus;

/**
 * Counts a vCPU's exits, and the time that the guest and the VMM took. For one thread while the
 * vCPU runs; another may read it when that has ended. It allocates only when a port or page is met
 * for the first time.
 */
public final class ExitStatistics {

  /** Reasons that KVM_RUN's error stands for, past those that have a number. */
  private static final int INTERRUPTED = 63;

  private static final int REASONS = 64;
  private static final int PORTS = 0x10000;

  /** Counts for one kind of exit. */
  private static final class Counter {
    long count;
    long nanos;
    long least = Long.MAX_VALUE;
    long most;

    void add(long time) {
      count++;
      nanos += time;
      least = Math.min(least, time);
      most = Math.max(most, time);
    }

    void add(Counter other) {
      count += other.count;
      nanos += other.nanos;
      least = Math.min(least, other.least);
      most = Math.max(most, other.most);
    }
  }

  private final Counter[] reasons = new Counter[REASONS];

  /** By port, and PORTS past it for writing; made when a port is met. */
  private final @Nullable Counter[] ports = new Counter[2 * PORTS];

  private long guestNanos;
  private long runs;

  /** A new set of counters, all 0. */
  public ExitStatistics() {
    for (int i = 0; i < REASONS; i++) {
      reasons[i] = new Counter();
    }
  }

  /**
   * A row of a report.
   *
   * @param name of the exit reason, or of the port
   * @param count how many
   * @param nanos the time in the VMM that they took
   * @param least the least time
   * @param most the greatest time
   * @param detail whether this is a part of the row of its reason
   */
  public record Row(String name, long count, long nanos, long least, long most, boolean detail) {

    /** The average time. */
    public long average() {
      return count == 0 ? 0 : nanos / count;
    }
  }

  /**
   * An exit was handled.
   *
   * @param page tells of it
   * @param guest ns in {@code KVM_RUN}
   * @param vmm ns that handling took
   */
  void exited(RunPage page, long guest, long vmm) {
    runs++;
    guestNanos += guest;
    int reason = page.exitReason();
    reasons[reason >= 0 && reason < INTERRUPTED ? reason : 0].add(vmm);
    if (reason == Exits.KVM_EXIT_IO) {
      int index = page.ioPort() + (page.ioIsIn() ? 0 : PORTS);
      Counter counter = ports[index];
      if (counter == null) {
        counter = new Counter();
        ports[index] = counter;
      }
      counter.add(vmm);
    }
  }

  /** {@code KVM_RUN} was interrupted. */
  void interrupted(long guest) {
    runs++;
    guestNanos += guest;
    reasons[INTERRUPTED].add(0);
  }

  /** Adds another vCPU's counters to these. */
  public void add(ExitStatistics other) {
    for (int i = 0; i < REASONS; i++) {
      reasons[i].add(other.reasons[i]);
    }
    for (int i = 0; i < ports.length; i++) {
      Counter theirs = other.ports[i];
      if (theirs != null) {
        Counter ours = ports[i];
        if (ours == null) {
          ours = new Counter();
          ports[i] = ours;
        }
        ours.add(theirs);
      }
    }
    guestNanos += other.guestNanos;
    runs += other.runs;
  }

  /** How often {@code KVM_RUN} was called. */
  public long runs() {
    return runs;
  }

  /** ns in {@code KVM_RUN}. */
  public long guestNanos() {
    return guestNanos;
  }

  /** ns in the VMM between exits and the next {@code KVM_RUN}. */
  public long vmmNanos() {
    long sum = 0;
    for (Counter counter : reasons) {
      sum += counter.nanos;
    }
    return sum;
  }

  /** How many exits there were of a reason. */
  public long count(int reason) {
    return reasons[reason].count;
  }

  /**
   * What there is to report: reasons by their count, each followed by its most frequent ports.
   *
   * @param bus names ports
   * @param portsOfEach how many ports to name for each direction at most
   */
  public List<Row> rows(PortBus bus, int portsOfEach) {
    List<Row> rows = new ArrayList<>();
    List<Integer> order = new ArrayList<>();
    for (int i = 0; i < REASONS; i++) {
      if (reasons[i].count > 0) {
        order.add(i);
      }
    }
    order.sort(Comparator.comparingLong((Integer i) -> -reasons[i].count));
    for (int reason : order) {
      String name =
          reason == INTERRUPTED
              ? "interrupted (EINTR)"
              : KvmExit.nameOf(reason).replaceFirst("^KVM_EXIT_", "");
      rows.add(row(name, reasons[reason], false));
      if (reason == Exits.KVM_EXIT_IO) {
        rows.addAll(portRows(bus, portsOfEach));
      }
    }
    return rows;
  }

  private List<Row> portRows(PortBus bus, int limit) {
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < ports.length; i++) {
      Counter counter = ports[i];
      if (counter != null) {
        int port = i % PORTS;
        String name =
            String.format("%s 0x%x %s", i < PORTS ? "in " : "out", port, bus.nameOf(port));
        rows.add(row(name, counter, true));
      }
    }
    rows.sort(Comparator.comparingLong(r -> -r.count()));
    return rows.subList(0, Math.min(limit, rows.size()));
  }

  private static Row row(String name, Counter c, boolean detail) {
    return new Row(name, c.count, c.nanos, c.least, c.most, detail);
  }
}
