package org.kvm4j.vmm.demo;

import java.util.ArrayList;
import java.util.List;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.uapi.KvmExit;
import org.kvm4j.vmm.ExitListener;
import org.kvm4j.vmm.Outcome;

/** Keeps what exits a machine had, like ones together. */
public final class ExitTrace implements ExitListener {

  /** More groups are counted, but not kept. */
  private static final int MOST_GROUPS = 1000;

  private final List<ExitGroup> groups = new ArrayList<>();
  private long exits;

  // The group that grows.
  private String reason = "";
  private long location;
  private int size;
  private int count;
  private List<Long> values = new ArrayList<>();

  @Override
  public synchronized void exited(int vcpu, Exit exit, Outcome outcome) {
    if (exit instanceof Exit.Interrupted || exit instanceof Exit.Again) {
      return;
    }
    exits++;
    if (exit instanceof Exit.IoOut out) {
      grow("IO out", out.port(), out.size());
      for (int i = 0; i < out.count(); i++) {
        value(out.data().getLittleEndian(i * out.size(), out.size()));
      }
    } else if (exit instanceof Exit.IoIn in) {
      grow("IO in", in.port(), in.size());
      if (outcome instanceof Outcome.PortData read) {
        for (int i = 0; i < in.count(); i++) {
          long element = 0;
          for (int b = in.size() - 1; b >= 0; b--) {
            element = element << 8 | (read.data()[i * in.size() + b] & 0xff);
          }
          value(element);
        }
      }
    } else if (exit instanceof Exit.MmioWrite write) {
      grow("MMIO write", write.address(), write.length());
      value(write.data());
    } else if (exit instanceof Exit.MmioRead read) {
      grow("MMIO read", read.address(), read.length());
      if (outcome instanceof Outcome.MmioData data) {
        value(data.value());
      }
    } else {
      grow(KvmExit.nameOf(exit.reason()).replaceFirst("^KVM_EXIT_", ""), -1, 0);
    }
  }

  private void grow(String newReason, long newLocation, int newSize) {
    if (!newReason.equals(reason) || newLocation != location || newSize != size) {
      finish();
      reason = newReason;
      location = newLocation;
      size = newSize;
    }
    count++;
  }

  private void value(long value) {
    if (values.size() < ExitGroup.MOST_VALUES) {
      values.add(value);
    }
  }

  private void finish() {
    if (count > 0 && groups.size() < MOST_GROUPS) {
      groups.add(new ExitGroup(reason, location, size, count, values));
    }
    count = 0;
    values = new ArrayList<>();
  }

  /** The exits so far, in order. */
  public synchronized List<ExitGroup> groups() {
    List<ExitGroup> all = new ArrayList<>(groups);
    if (count > 0 && all.size() < MOST_GROUPS) {
      all.add(new ExitGroup(reason, location, size, count, values));
    }
    return all;
  }

  /** How many exits there were. */
  public synchronized long exits() {
    return exits;
  }
}
