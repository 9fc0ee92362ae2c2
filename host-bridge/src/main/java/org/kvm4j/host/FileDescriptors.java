package org.kvm4j.host;

import java.util.Arrays;

/**
 * The file descriptors that one kernel opened. Nothing is done to any other of the process's, which
 * are the JVM's: not even by a VMM that uses a number after it closed it.
 */
final class FileDescriptors {
  private volatile boolean[] open = new boolean[64];

  boolean contains(int fd) {
    boolean[] table = open;
    return fd >= 0 && fd < table.length && table[fd];
  }

  synchronized void add(int fd) {
    boolean[] table = Arrays.copyOf(open, Math.max(open.length, Integer.highestOneBit(fd) * 2));
    table[fd] = true;
    open = table;
  }

  /** Whether it was there. */
  synchronized boolean remove(int fd) {
    if (!contains(fd)) {
      return false;
    }
    boolean[] table = open.clone();
    table[fd] = false;
    open = table;
    return true;
  }

  /** Every descriptor, highest (youngest, mostly: vCPUs before their VM) first. */
  synchronized int[] all() {
    int[] fds = new int[open.length];
    int n = 0;
    for (int fd = open.length - 1; fd >= 0; fd--) {
      if (open[fd]) {
        fds[n++] = fd;
      }
    }
    return Arrays.copyOf(fds, n);
  }
}
