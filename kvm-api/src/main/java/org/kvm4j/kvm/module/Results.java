package org.kvm4j.kvm.module;

/** Negative error numbers, as the module's system calls return them. */
final class Results {
  static final int EPERM = -1;
  static final int ENOENT = -2;
  static final int ESRCH = -3;
  static final int EINTR = -4;
  static final int EIO = -5;
  static final int ENXIO = -6;
  static final int E2BIG = -7;
  static final int EBADF = -9;
  static final int EAGAIN = -11;
  static final int ENOMEM = -12;
  static final int EFAULT = -14;
  static final int EBUSY = -16;
  static final int EEXIST = -17;
  static final int ENODEV = -19;
  static final int EINVAL = -22;
  static final int EMFILE = -24;
  static final int ENOTTY = -25;
  static final int ENOSPC = -28;
  static final int ESPIPE = -29;
  static final int EOPNOTSUPP = -95;

  private Results() {}
}
